"""The least that a gRPC server in Python can be: grpcio that takes bytes and answers a constant."""

import sys

import grpc


async def answer(_, __):
    return b"\n\x05bench"


async def main(port: str) -> None:
    handlers = {"ModelInfer": grpc.unary_unary_rpc_method_handler(answer)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(sys.argv[1]))
