package dev.hla.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

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

  @Test
  void anUnknownVerbIsNamed() {
    Ran ran = Ran.hla("frobnicate");
    assertEquals(Exit.USAGE, ran.code());
    assertTrue(ran.errorLine().contains("no verb 'frobnicate'"), ran.err());
  }
}
