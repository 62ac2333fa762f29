import Essentials
import Testing

@testable import Transport

@Suite("gRPC")
struct GRPCTests {
    @Test("A status survives the way through trailers, with its message and retry delay")
    func statuses() {
        for status in [
            GRPCStatus(.ok, ""), GRPCStatus(.unavailable, "50% full: \u{00FC}ber"),
            GRPCStatus(.resourceExhausted, "later", retryDelay: .milliseconds(1500)),
            GRPCStatus(.unavailable, "", retryDelay: .seconds(3)),
        ] {
            #expect(GRPCStatus(status.trailers) == status)
        }
        #expect(GRPCStatus([:]) == nil)
        #expect(GRPCStatus(["grpc-status": "99"])?.code == .unknown)
        let broken: HTTPFields = ["grpc-status": "14", "grpc-status-details-bin": "Gv///w=="]
        #expect(GRPCStatus(broken)?.retryDelay == nil)
        #expect("\(GRPCStatus(.deadlineExceeded, "x"))" == "rpc error: code = DeadlineExceeded desc = x")
    }

    @Test("Timeouts are written and read in gRPC's units")
    func timeouts() {
        #expect(GRPCTimeout.decode("10S") == .seconds(10))
        #expect(GRPCTimeout.decode("2H") == .seconds(7200))
        #expect(GRPCTimeout.decode("5m") == .milliseconds(5))
        for text in ["", "S", "-1S", "1x", "123456789S"] { #expect(GRPCTimeout.decode(text) == nil) }
        for timeout in [Duration.milliseconds(1), .seconds(30), .seconds(86_400 * 30)] {
            #expect(GRPCTimeout.decode(GRPCTimeout.encode(timeout)) == timeout)
        }
    }

    @Test("Frames are checked: length, flag, limits before and after decompression")
    func frames() throws {
        let message = [UInt8](repeating: 7, count: 1000)
        for compression in GRPCCompression.allCases {
            let frame = GRPCFrame.encode(
                try compression.compress(message), isCompressed: compression != .identity)
            #expect(try GRPCFrame.decode(frame, encoding: compression, limit: 1000) == message)
            #expect(throws: GRPCStatus.self) { try GRPCFrame.decode(frame, encoding: compression, limit: 999) }
            #expect(throws: GRPCStatus.self) {
                try GRPCFrame.decode(Array(frame.dropLast()), encoding: compression, limit: 1000)
            }
        }
        #expect(throws: GRPCStatus.self) { try GRPCFrame.decode([0, 0, 0], encoding: .identity, limit: 10) }
        #expect(throws: GRPCStatus.self) { try GRPCFrame.decode([1, 0, 0, 0, 0], encoding: .identity, limit: 10) }
        #expect(throws: GRPCStatus.self) { try GRPCFrame.decode([9, 0, 0, 0, 0], encoding: .identity, limit: 10) }
        #expect(throws: GRPCStatus.self) {
            try GRPCFrame.decode([0, 0xFF, 0xFF, 0xFF, 0xFF], encoding: .identity, limit: 10)
        }
    }
}
