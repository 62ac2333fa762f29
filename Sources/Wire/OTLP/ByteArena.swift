import Glibc

/// Memory handed out piece by piece and taken back all at once; pieces never move.
///
/// Pointers are valid until ``reset()``. One block is kept over resets, so that steady work allocates nothing.
struct ByteArena: ~Copyable {
    private var blocks: [UnsafeMutableRawPointer] = []
    private var base: UnsafeMutableRawPointer?
    private var used = 0
    private var capacity = 0
    private let firstCapacity: Int

    init(firstCapacity: Int = 4096) { self.firstCapacity = firstCapacity }

    deinit { for block in blocks { block.deallocate() } }

    /// `count` bytes of uninitialised memory.
    @inline(__always)
    mutating func allocate(_ count: Int) -> UnsafeMutableRawPointer {
        if let base, capacity &- used >= count {
            defer { used &+= count }
            return base + used
        }
        return allocateBlock(count)
    }

    @inline(never)
    private mutating func allocateBlock(_ count: Int) -> UnsafeMutableRawPointer {
        let size = max(count, min(capacity * 2, 1 << 20), firstCapacity)
        let block = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        blocks.append(block)
        base = block
        capacity = size
        used = count
        return block
    }

    /// A copy of `bytes` that stays until the reset.
    mutating func copy(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        guard let source = bytes.baseAddress, bytes.count > 0 else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        let piece = allocate(bytes.count)
        memcpy(piece, source, bytes.count)
        return UnsafeRawBufferPointer(start: piece, count: bytes.count)
    }

    /// Takes everything back and keeps the newest block, unless it is larger than a megabyte.
    mutating func reset() {
        if used == 0 { return }
        used = 0
        let keepsNewest = capacity <= 1 << 20
        if blocks.count == 1, keepsNewest { return }
        for block in keepsNewest ? blocks.dropLast() : blocks[...] { block.deallocate() }
        if keepsNewest, let base {
            blocks = [base]
        } else {
            blocks = []
            base = nil
            capacity = 0
        }
    }
}
