/// What one step of an engine did, in bytes.
struct EngineStep {
    var consumed: Int
    var produced: Int
}

/// One format's decoder: moves bytes from input to output, holding at most its format's window.
///
/// A step that neither consumes nor produces needs more input.
protocol DecompressionEngine: AnyObject {
    /// Whether the input may end after what was consumed so far.
    var mayEnd: Bool { get }
    func step(
        _ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> EngineStep
    func reset()
}
