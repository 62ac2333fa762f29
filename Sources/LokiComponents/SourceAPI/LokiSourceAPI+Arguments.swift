package import AlloySyntax
import ComponentKit
package import Essentials
import Telemetry
import Transport

extension LokiSourceAPI {
    package struct Arguments: Block, Sendable {
        let servers: ServerArguments
        let forwardTo: Fanout<LogBatch>
        let labels: LabelSet
        let relabeling: Relabeling
        let usesIncomingTimestamp: Bool
        let maximumMessageSize: ByteCount

        package init(from block: inout BlockReader) {
            servers = ServerArguments(from: &block)
            forwardTo = block.required("forward_to", "Receivers the entries are sent to.")
            labels = block.optional("labels", default: [:], "Labels added to every entry.")
            let rules = block.optional(
                "relabel_rules", default: RelabelRules.placeholder, "Rules applied to the labels of every stream.")
            relabeling = rules.relabeling
            usesIncomingTimestamp = block.optional(
                "use_incoming_timestamp", default: false,
                "Whether entries keep the time they came with; else it is the time of their arrival.")
            let size = block.optional(
                "max_send_message_size", default: ByteCount.mebibytes(100), "Size of the largest request taken.")
            // As upstream: nothing means the default.
            maximumMessageSize = size.bytes > 0 ? size : .mebibytes(100)
        }

        /// What a server is started anew for.
        var listening: Listening { Listening(servers: servers, maximumMessageSize: maximumMessageSize) }
    }

    struct Listening: Sendable, Equatable {
        var servers: ServerArguments
        var maximumMessageSize: ByteCount
    }
}

extension LokiSourceAPI.Arguments: MemoryDemanding {
    /// One small request, as it came and decoded.
    package var minimumMemory: ByteCount { .kibibytes(64) }
}
