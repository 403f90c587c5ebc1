HLA Toolkit
Copyright 2026 the HLA Toolkit authors

Licensed under the Apache License, Version 2.0; see LICENSE.

This archive holds other people's work under the licences below. What came as a library of Java classes with native code keeps the classes in
lib/ and has the native code in native/. Texts that do not lie inside the libraries are in licenses/; Apache-2.0 is also LICENSE.

<#list licenseMap as entry>
${entry.getKey()}
<#list entry.getValue()?filter(project -> project.groupId != "dev.hla") as project>
    ${project.artifactId} ${project.version} (${project.groupId})
</#list>

</#list>
In native/:

    libonnxruntime*.so             ONNX Runtime, MIT; licenses/onnxruntime-ThirdPartyNotices.txt lists what it is made of
    libjnidispatch.so              JNA, Apache-2.0 (at the choice of who receives it, LGPL-2.1), with libffi, MIT
    pytorch/libdjl_torch.so        Deep Java Library, Apache-2.0
    pytorch/libtorch*.so           PyTorch, BSD-3-Clause, with Intel oneMKL (Intel Simplified Software License), oneDNN, ONNX, FlatBuffers and ITT
    pytorch/libc10.so              (Apache-2.0, BSD-3-Clause), FBGEMM, XNNPACK, QNNPACK, gloo, TensorPipe, Kineto, Protocol Buffers (BSD-3-Clause),
                                   NNPACK, cpuinfo, pthreadpool, asmjit (BSD-2-Clause, zlib), SLEEF (BSL-1.0), ideep, fmt, libuv, miniz, cpp-httplib
                                   and nlohmann-json (MIT); https://github.com/pytorch/pytorch/tree/v2.7.1/third_party has their texts
    pytorch/libgomp*.so.1          GNU OpenMP, GPL-3.0 with the GCC Runtime Library Exception 3.1; https://gcc.gnu.org has its source
    cuda/libhla_ops_cuda.so        HLA Toolkit, Apache-2.0, with the CUDA runtime of NVIDIA (CUDA Toolkit End User License Agreement, attachment A)
