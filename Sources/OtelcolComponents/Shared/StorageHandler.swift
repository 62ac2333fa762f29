import AlloySyntax
package import Essentials

/// What `otelcol.storage.file` exports: where and how a component keeps its queue on disk.
package struct StorageHandler: CapsuleValue, AlloyDecodable, AlloyEncodable, Equatable {
    package static var capsuleName: String { "ExtensionHandler" }
    package static var placeholder: StorageHandler { StorageHandler(directory: "") }

    /// Holds one directory for each component that uses it.
    package var directory: String
    /// Whether a batch is on the disk, not only in the kernel's memory, before it is acknowledged.
    package var synchronises = false
    /// The largest size of one component's directory; nil is the queue's own bound.
    package var sizeLimit: ByteCount?

    package init(directory: String) { self.directory = directory }
}
