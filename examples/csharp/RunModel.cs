// Runs a converted model with Microsoft.ML.OnnxRuntime. This example has not been compiled or run yet: no .NET was at hand.
//
//   dotnet run --project examples/csharp -- MODEL INPUTS OUTPUT [LIBHLA_OPS]
//
// INPUTS is a folder with NAME.npy for every input, OUTPUT the .npy file for the first output. With LIBHLA_OPS
// (libhla_ops.so) the converted attentions run in the operator library, without it as the plain ONNX functions that the
// file carries.
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.ML.OnnxRuntime;

if (args.Length != 3 && args.Length != 4)
{
    Console.Error.WriteLine("RunModel MODEL INPUTS OUTPUT [LIBHLA_OPS]");
    return 2;
}

using var options = new SessionOptions();
if (args.Length == 4) options.RegisterCustomOpLibrary(args[3]); // the only line that the library needs
using var session = new InferenceSession(args[0], options);
var names = session.InputMetadata.Keys.ToArray();
var inputs = names.Select(name => Npy.Read(Path.Combine(args[1], name + ".npy"))).ToArray();
using var run = new RunOptions();
using var outputs = session.Run(run, names, inputs, session.OutputMetadata.Keys.Take(1).ToArray());
Npy.Write(args[2], outputs[0]);
foreach (var input in inputs) input.Dispose();
return 0;

static class Npy
{
    public static OrtValue Read(string file)
    {
        var bytes = File.ReadAllBytes(file);
        var end = 10 + BitConverter.ToUInt16(bytes, 8);
        var header = Regex.Match(Encoding.ASCII.GetString(bytes, 10, end - 10), @"'descr': '<(f4|i8)', 'fortran_order': False, 'shape': \(([0-9, ]*)\)");
        if (!header.Success) throw new InvalidDataException(file + ": this example reads little-endian f4 and i8 in C order");
        var shape = header.Groups[2].Value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(long.Parse).ToArray();
        var data = bytes.AsSpan(end);
        return header.Groups[1].Value == "f4"
            ? OrtValue.CreateTensorValueFromMemory(MemoryMarshal.Cast<byte, float>(data).ToArray(), shape)
            : OrtValue.CreateTensorValueFromMemory(MemoryMarshal.Cast<byte, long>(data).ToArray(), shape);
    }

    public static void Write(string file, OrtValue tensor)
    {
        var shape = string.Concat(tensor.GetTensorTypeAndShape().Shape.Select(size => size + ", "));
        var text = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }";
        var length = (10 + text.Length + 1 + 63) / 64 * 64 - 10; // the data begin at a multiple of 64
        using var output = File.Create(file);
        output.Write(new byte[] { 0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y', 1, 0, (byte)length, (byte)(length >> 8) });
        output.Write(Encoding.ASCII.GetBytes(text.PadRight(length - 1) + "\n"));
        output.Write(MemoryMarshal.AsBytes(tensor.GetTensorDataAsSpan<float>()));
    }
}
