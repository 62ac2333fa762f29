package import Essentials

/// Arguments that know how much memory their component cannot work without.
///
/// The sum over all components is compared with the memory budget when a configuration is loaded; a configuration that
/// cannot fit is refused with the numbers.
package protocol MemoryDemanding {
    /// Bytes of the budget for one item of each buffer at its largest.
    var minimumMemory: ByteCount { get }
}
