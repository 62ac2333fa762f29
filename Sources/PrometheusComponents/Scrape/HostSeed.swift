import Glibc
import TextFormats

/// A number that differs among hosts and stays the same on each.
func hostSeed() -> UInt64 {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return 0 }
    return name.withUnsafeBytes { bytes in
        FNV1a.hash64(UnsafeRawBufferPointer(rebasing: bytes.prefix { $0 != 0 }))
    }
}
