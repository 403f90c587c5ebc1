package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

class HlaTest {
  @Test
  void aBareCommandIsWrongUsageInOneLine() {
    Ran ran = Ran.hla();
    assertEquals(Exit.USAGE, ran.code());
    assertTrue(ran.errorLine().startsWith("hla: name a verb"), ran.err());
    assertEquals("", ran.out());
  }

  @Test
  void helpGoesToStandardOutput() {
    Ran ran = Ran.hla("--help");
    assertEquals(Exit.DONE, ran.code());
    assertTrue(ran.out().contains("Usage: hla"), ran.out());
    assertEquals("", ran.err());
  }

  /** A line of a description is a sentence or more: where one goes on in the next, help breaks it anew, and in the middle. */
  @Test
  void descriptionsBreakAfterSentences() {
    Deque<CommandSpec> commands = new ArrayDeque<>(List.of(new CommandLine(new Hla()).getCommandSpec()));
    int lines = 0;
    while (!commands.isEmpty()) {
      CommandSpec command = commands.pop();
      command.subcommands().values().forEach(sub -> commands.push(sub.getCommandSpec()));
      for (String line : command.usageMessage().description()) {
        assertTrue(line.endsWith("."), () -> command.qualifiedName() + ": " + line);
        lines++;
      }
    }
    assertTrue(lines > 15, () -> "of all verbs");
  }

  @Test
  void anUnknownVerbIsNamed() {
    Ran ran = Ran.hla("frobnicate");
    assertEquals(Exit.USAGE, ran.code());
    assertTrue(ran.errorLine().contains("no verb 'frobnicate'"), ran.err());
  }
}
