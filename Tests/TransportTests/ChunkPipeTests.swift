import Essentials
import NIOCore
import Testing

@testable import Transport

@Suite("Bytes between a socket and its reader")
struct ChunkPipeTests {
    private let budget = MemoryBudget(limit: .kibibytes(64))

    private func pipe(highMark: Int = 16 << 10) -> ChunkPipe {
        ChunkPipe(highMark: highMark, bookedOn: budget.account("sockets"))
    }

    private func chunk(_ count: Int) -> ByteBuffer { ByteBuffer(repeating: 7, count: count) }

    @Test("What is held is booked until it is read, thrown away or forgotten")
    func booked() async throws {
        let pipe = pipe()
        pipe.push(chunk(1_000))
        pipe.push(chunk(2_000))
        #expect(budget.usage.bytes == 3_000)
        #expect(try await pipe.next()?.readableBytes == 1_000)
        #expect(budget.usage.bytes == 2_000)
        pipe.discard(upTo: 10_000)
        #expect(budget.usage.bytes == 0)
        // Nobody wants these any more.
        #expect(pipe.push(chunk(4_000)))
        #expect(budget.usage.bytes == 0)

        let aborted = self.pipe()
        aborted.push(chunk(500))
        aborted.abort(TransportError.timeout)
        #expect(budget.usage.bytes == 0)

        var forgotten: ChunkPipe? = self.pipe()
        forgotten?.push(chunk(500))
        #expect(budget.usage.bytes == 500)
        forgotten = nil
        #expect(budget.usage.bytes == 0)
    }

    @Test("A socket is read up to the high mark, and chunk by chunk once the budget is short")
    func pressure() async throws {
        let pipe = pipe()
        pipe.push(chunk(1_000))
        #expect(!pipe.shouldPause())
        let other = budget.account("other")
        other.book(60 << 10)
        #expect(pipe.shouldPause())
        _ = try await pipe.next()
        // Nothing is held, so that reading goes on whatever the budget says.
        #expect(!pipe.shouldPause())
        other.release(60 << 10)
        pipe.push(chunk(15_000))
        #expect(!pipe.shouldPause())
        pipe.push(chunk(2_000))
        #expect(pipe.shouldPause())
    }
}
