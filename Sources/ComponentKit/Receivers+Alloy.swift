package import AlloySyntax
package import Telemetry

/// A batch whose receivers travel through configurations.
package protocol RoutableBatch: Batch {
    /// The name between the parentheses of `capsule("...")`.
    static var receiverName: String { get }
}

extension MetricBatch: RoutableBatch { package static var receiverName: String { "MetricsReceiver" } }
extension LogBatch: RoutableBatch { package static var receiverName: String { "LogsReceiver" } }
extension OTLPBatch: RoutableBatch { package static var receiverName: String { "otelcol.Consumer" } }
extension ProfileBatch: RoutableBatch { package static var receiverName: String { "ProfilesReceiver" } }

extension Receiver: AlloyTyped, AlloyDecodable, AlloyEncodable, CapsuleValue where Items: RoutableBatch {
    package static var capsuleName: String { Items.receiverName }

    /// A receiver nobody serves: what stands for a value that could not be read.
    package static var placeholder: Receiver { Receiver(ledger: ComponentLedger(componentID: "")) }
}

extension Fanout: AlloyTyped, AlloyDecodable where Items: RoutableBatch {
    package static var alloyTypeName: String { [Receiver<Items>].alloyTypeName }
    package static var placeholder: Fanout { Fanout([], ledger: nil) }

    /// Reads a list of receivers; the books of the component being evaluated get its edges.
    package init(alloy value: Value) throws(ValueError) {
        self.init(try [Receiver<Items>](alloy: value), ledger: .evaluating)
    }
}
