"""llama-cpp-python's own server, with the kernels that the endpoint uses; its own arguments."""

from llama_cpp.server.__main__ import main

from gguf_lambda.kernels import load_kernels

if __name__ == "__main__":
    # A llama.cpp of several kernels loads none by itself.
    load_kernels()
    main()
