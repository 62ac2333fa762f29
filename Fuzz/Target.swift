/// One reader of untrusted bytes.
struct FuzzTarget: Sendable {
    let name: String
    /// Inputs to begin with; the files of `Fuzz/Corpus/NAME` come on top.
    let seeds: [[UInt8]]
    /// Pieces that inputs are made of.
    var dictionary: [String] = []
    /// Reads an input. What is thrown is the reader's proper refusal; a ``Finding`` is a defect, as are a trap, a hang and
    /// memory beyond the limit. Returns what tells different ways through the reader apart.
    let run: @Sendable (_ input: [UInt8]) async throws -> Int
}

/// Something a reader must not do.
struct Finding: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    if !condition { throw Finding(message()) }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// What two inputs have in common that end the same way: the message without its numbers and names.
func signature(of error: any Error) -> Int {
    var hasher = Hasher()
    var isQuoted = false
    for byte in "\(error)".utf8 {
        if byte == 0x22 || byte == 0x60 { isQuoted.toggle() }
        if !isQuoted, !(0x30...0x39).contains(byte) { hasher.combine(byte) }
    }
    return hasher.finalize()
}

/// A size up to a factor of two.
func magnitude(_ count: Int) -> Int { Int.bitWidth - count.leadingZeroBitCount }
