package import AlloySyntax
import ComponentKit
package import Essentials
import TextFormats
import Transport
import Wire

extension OtelcolReceiverSyslog {
    package struct Arguments: Block, Sendable {
        let parser: SyslogEntryParser
        let onError: ErrorAction
        let retry: ConsumerRetry
        let output: OTLPOutput
        /// One, as upstream: TCP where both are given.
        let listeners: [StreamSettings]

        package init(from block: inout BlockReader) {
            let format = block.optional("protocol", default: "rfc5424", "Format of messages: `rfc5424` or `rfc3164`.")
            let location = block.optional("location", default: "UTC", "Zone of times that do not say theirs.")
            let countsOctets = block.optional(
                "enable_octet_counting", default: false, "Whether messages begin with their length (RFC 6587).")
            let maximumOctets = block.optional(
                "max_octets", default: 8192, "Bytes of the longest message that begins with its length.")
            let allowsMissingPriority = block.optional(
                "allow_skip_pri_header", default: false, "Whether messages may come without a priority.")
            let trailerName: String? = block.optional(
                "non_transparent_framing_trailer", "What ends a message (RFC 6587): `LF` or `NUL`.")
            let onErrorName = block.optional(
                "on_error", default: "send",
                "What becomes of messages that cannot be read: `send`, `send_quiet`, `drop` or `drop_quiet`.")
            retry = block.block("retry_on_failure", "How deliveries that failed are repeated.")
            let trailer = trailerName.flatMap { SyslogEntryParser.Trailer(rawValue: $0) }
            let framing = Framing(countsOctets: countsOctets, trailer: trailer)
            let tcp: TCP? = block.optionalBlock("tcp", "Listens for messages over TCP.")
            let udp: UDP? = block.optionalBlock("udp", "Listens for messages over UDP.")
            DebugMetrics.read(from: &block)
            output = block.requiredBlock("output", OTLPOutput.doc)

            if !["rfc5424", "rfc3164"].contains(format) {
                block.reject("protocol", "invalid protocol, must be one of 'rfc3164', 'rfc5424': \(format)")
            }
            if trailerName != nil, trailer == nil {
                block.reject("non_transparent_framing_trailer", "must be one of 'LF', 'NUL'")
            }
            if maximumOctets < 0 { block.reject("max_octets", "must not be negative") }
            if countsOctets, trailerName != nil {
                block.reject("only one of enable_octet_counting and non_transparent_framing_trailer can be set")
            }
            if format == "rfc3164", countsOctets || trailerName != nil {
                block.reject(
                    "enable_octet_counting and non_transparent_framing_trailer are only compatible with rfc5424")
            }
            onError = ErrorAction(rawValue: onErrorName) ?? .send
            if ErrorAction(rawValue: onErrorName) == nil {
                block.reject("on_error", "invalid on_error: \(onErrorName)")
            }
            var zone = GoTimeZone.utc
            do throws(TextFormatError) {
                zone = try GoTimeZone.load(location)
            } catch {
                block.reject("location", "\(error)")
            }
            parser = SyslogEntryParser(
                parser: SyslogParser(format == "rfc3164" ? .rfc3164 : .rfc5424), zone: zone,
                countsOctets: countsOctets, maximumOctets: maximumOctets > 0 ? maximumOctets : 8192,
                allowsMissingPriority: allowsMissingPriority, trailer: trailer)
            if tcp == nil, udp == nil { block.reject("at least one of 'tcp' or 'udp' must be configured") }
            if tcp != nil, udp != nil {
                block.warn("udp", "has no effect beside tcp: use two components to listen for both")
            } else if udp != nil, countsOctets || trailerName != nil {
                block.reject(
                    "udp", "cannot be used with enable_octet_counting or non_transparent_framing_trailer")
            }
            if framing.rule != nil, tcp?.hasMultiline == true {
                block.reject("tcp", "multiline cannot be used with enable_octet_counting or the trailer NUL")
            }
            listeners = [tcp?.settings(framing) ?? udp?.settings].compactMap { $0 }
        }

        /// Makes an entry of a message; false when it is dropped.
        func complete(_ entry: inout StanzaEntry, _ tally: inout LogTally) -> Bool {
            let text: [UInt8]
            switch entry.body {
            case .string(let bytes), .bytes(let bytes): text = bytes
            default: text = []
            }
            do throws(StanzaError) {
                entry.take(try parser.fields(of: text, now: entry.observed))
            } catch {
                tally.note(error, onError)
                return onError.sends
            }
            return true
        }
    }

    /// What tells messages of a connection apart, where lines do not.
    struct Framing {
        var countsOctets: Bool
        var trailer: SyslogEntryParser.Trailer?

        var rule: LogSplitter.Rule? {
            if countsOctets { return .octets }
            guard trailer == .null, let null = try? RegularExpression("\\x00") else { return nil }
            return .endsWith(null, isOmitted: true)
        }
    }

    /// The `tcp` block.
    struct TCP: Block, Sendable {
        private let made: StreamSettings?
        let hasMultiline: Bool

        init(from block: inout BlockReader) {
            let maximumBytes = StreamArguments.maximumBytes(from: &block)
            let text = block.optional("listen_address", default: "", "Address to listen on, as `host:port`.")
            let addsAttributes = block.optional("add_attributes", default: false, StreamArguments.attributesDoc)
            let isOne = block.optional("one_log_per_packet", default: false, StreamArguments.packetDoc)
            let encoding = LogEncoding.read(from: &block)
            let keepsLeading = block.optional(
                "preserve_leading_whitespaces", default: false, StreamArguments.leadingDoc)
            let keepsTrailing = block.optional(
                "preserve_trailing_whitespaces", default: false, StreamArguments.trailingDoc)
            let tls: ServerTLS? = block.optionalBlock("tls", "Encryption of connections.")
            let multiline: MultilineArguments? = block.optionalBlock(
                "multiline", "What tells logs of several lines apart.")
            let address = StreamArguments.address(text, from: &block)
            let rule = MultilineArguments.rule(multiline, encoding, &block)
            hasMultiline = multiline != nil
            guard let address, let encoding else {
                made = nil
                return
            }
            made = StreamSettings(
                address: address, network: .tcp, tls: tls?.settings, addsAttributes: addsAttributes,
                isOneLogPerPacket: isOne,
                splitter: LogSplitter(
                    rule: rule, encoding: encoding, trimsLeading: !keepsLeading, trimsTrailing: !keepsTrailing,
                    maximumBytes: maximumBytes))
        }

        func settings(_ framing: Framing) -> StreamSettings? {
            guard var settings = made else { return nil }
            let splitter = settings.splitter
            if let rule = framing.rule {
                settings.splitter = LogSplitter(
                    rule: rule, encoding: splitter.encoding, trimsLeading: splitter.trimsLeading,
                    trimsTrailing: splitter.trimsTrailing, maximumBytes: splitter.maximumBytes)
            }
            return settings
        }
    }

    /// The `udp` block.
    struct UDP: Block, Sendable {
        let settings: StreamSettings?

        init(from block: inout BlockReader) {
            let text = block.optional("listen_address", default: "", "Address to listen on, as `host:port`.")
            let isOne = block.optional("one_log_per_packet", default: false, StreamArguments.packetDoc)
            let addsAttributes = block.optional("add_attributes", default: false, StreamArguments.attributesDoc)
            let encoding = LogEncoding.read(from: &block)
            let keepsLeading = block.optional(
                "preserve_leading_whitespaces", default: false, StreamArguments.leadingDoc)
            let keepsTrailing = block.optional(
                "preserve_trailing_whitespaces", default: false, StreamArguments.trailingDoc)
            let multiline: MultilineArguments? = block.optionalBlock(
                "multiline", "What tells logs of several lines apart.")
            let async: Async? = block.optionalBlock("async", "How many datagrams may wait to be worked on.")
            let address = StreamArguments.address(text, from: &block)
            let rule = MultilineArguments.rule(multiline, encoding, &block)
            guard let address, let encoding else {
                settings = nil
                return
            }
            settings = StreamSettings(
                address: address, network: .udp, addsAttributes: addsAttributes, isOneLogPerPacket: isOne,
                splitter: LogSplitter(
                    rule: rule, encoding: encoding, trimsLeading: !keepsLeading, trimsTrailing: !keepsTrailing,
                    maximumBytes: 65_536), datagramRoom: async?.room ?? 1 << 20)
        }
    }

    /// The `async` block.
    struct Async: Block, Sendable {
        /// Bytes of datagrams that may wait.
        let room: Int

        init(from block: inout BlockReader) {
            let readers = block.optional("readers", default: 1, "Has no effect: one reader is as fast as the kernel.")
            let processors = block.optional(
                "processors", default: 1, "Has no effect: datagrams are worked on in their order.")
            let length = block.optional(
                "max_queue_length", default: 100, "Datagrams of the largest size that may wait.")
            for (name, value) in [("readers", readers), ("processors", processors), ("max_queue_length", length)]
            where value < 0 {
                block.reject(name, "must not be negative")
            }
            if readers > 1 || processors > 1 {
                block.warn("readers and processors have no effect: datagrams are worked on in their order")
            }
            room = min(max(1, length > 0 ? length : 100), 1024) * 65_536
        }
    }
}

extension OtelcolReceiverSyslog.Arguments: MemoryDemanding {
    package var minimumMemory: ByteCount { .kibibytes(64) }
}
