import AlloySyntax
import Essentials
import Transport

/// The `protocols` block of `otelcol.receiver.jaeger`.
struct JaegerProtocols: Block, Sendable, Equatable {
    let grpc: GRPCServerArguments?
    let thriftHTTP: HTTPServerArguments?
    let thriftBinary: Datagrams?
    let thriftCompact: Datagrams?

    init(from block: inout BlockReader) {
        let grpc: GRPC? = block.optionalBlock("grpc", "Receives over gRPC.")
        let http: HTTP? = block.optionalBlock("thrift_http", "Receives Thrift over HTTP.")
        let binary: Binary? = block.optionalBlock("thrift_binary", "Receives datagrams of Thrift's binary encoding.")
        let compact: Compact? = block.optionalBlock(
            "thrift_compact", "Receives datagrams of Thrift's compact encoding.")
        self.grpc = grpc?.server
        thriftHTTP = http?.server
        thriftBinary = binary?.datagrams
        thriftCompact = compact?.datagrams
        if grpc == nil, http == nil, binary == nil, compact == nil {
            block.reject("needs at least one of grpc, thrift_http, thrift_binary and thrift_compact")
        }
    }

    private struct GRPC: Block {
        let server: GRPCServerArguments
        init(from block: inout BlockReader) { server = GRPCServerArguments(from: &block, endpoint: "0.0.0.0:14250") }
    }

    private struct HTTP: Block {
        let server: HTTPServerArguments
        init(from block: inout BlockReader) { server = HTTPServerArguments(from: &block, endpoint: "0.0.0.0:14268") }
    }

    private struct Binary: Block {
        let datagrams: Datagrams
        init(from block: inout BlockReader) { datagrams = Datagrams(from: &block, endpoint: "0.0.0.0:6832") }
    }

    private struct Compact: Block {
        let datagrams: Datagrams
        init(from block: inout BlockReader) { datagrams = Datagrams(from: &block, endpoint: "0.0.0.0:6831") }
    }

    /// How datagrams are received.
    struct Datagrams: Sendable, Equatable {
        let address: SocketAddress
        let packetSize: Int
        let workers: Int
        let socketBuffer: ByteCount?
        /// Bytes of datagrams that may wait.
        let queueBytes: Int

        init(from block: inout BlockReader, endpoint: String) {
            address = ListenEndpoint.read(endpoint, from: &block)
            let queue = block.optional("queue_size", default: 1000, "Datagrams that may wait to be read.")
            let size = block.optional(
                "max_packet_size", default: ByteCount.kibibytes(65), "Bytes of the longest datagram.")
            workers = block.optional("workers", default: 10, "Datagrams that are passed on at the same time.")
            let buffer: ByteCount? = block.optional(
                "socket_buffer_size", "Bytes the kernel keeps of what has not been read; its own choice when left out.")
            packetSize = size.bytes
            socketBuffer = buffer.flatMap { $0.bytes > 0 ? $0 : nil }
            queueBytes = min(max(queue, 1), 100_000) * min(max(size.bytes, 1), 65_536)
            if queue <= 0 { block.reject("queue_size", "must be greater than 0") }
            if workers <= 0 { block.reject("workers", "must be greater than 0") }
            if size.bytes <= 0 { block.reject("max_packet_size", "must be greater than 0") }
        }
    }
}
