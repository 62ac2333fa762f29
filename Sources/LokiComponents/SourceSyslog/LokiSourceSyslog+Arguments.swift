package import AlloySyntax
import ComponentKit
package import Essentials
import Telemetry
import Transport
import Wire

extension LokiSourceSyslog {
    package struct Arguments: Block, Sendable {
        let listeners: [ListenerSettings]
        let forwardTo: Fanout<LogBatch>
        let relabeling: Relabeling

        package init(from block: inout BlockReader) {
            let listeners: [ListenerArguments] = block.blocks(
                "listener", "An address that messages are received on.", required: true)
            self.listeners = listeners.compactMap(\.settings)
            forwardTo = block.required("forward_to", "Receivers the entries are sent to.")
            let rules = block.optional(
                "relabel_rules", default: RelabelRules.placeholder, "Rules applied to the labels of every entry.")
            relabeling = rules.relabeling
        }
    }

    /// How a listener receives.
    package enum TransportProtocol: String, AlloyWord, Sendable {
        case tcp, udp
        package static var placeholder: TransportProtocol { .tcp }
    }

    /// How messages are written.
    package enum Format: String, AlloyWord, Sendable {
        case rfc5424, rfc3164, raw
        package static var placeholder: Format { .rfc5424 }

        var parsed: SyslogParser.Format {
            switch self {
            case .rfc5424: .rfc5424
            case .rfc3164: .rfc3164
            case .raw: .raw
            }
        }
    }

    struct ListenerSettings: Sendable, Equatable {
        var address: SocketAddress
        var transport: TransportProtocol
        var idleTimeout: Duration
        var labels: LabelSet
        var parser: SyslogParser
        var labelsStructuredData: Bool
        var usesIncomingTimestamp: Bool
        var takesCurrentYear: Bool
        var sendsWholeMessage: Bool
        var allowsEmptyMessages: Bool
        var maximumLength: Int
        var delimiter: UInt8
        var datagramQueue: Int
        var hostCacheSize: Int
        var tls: TLSServerSettings?

        /// What tells listeners apart.
        struct Key: Hashable, Sendable {
            var address: SocketAddress
            var transport: TransportProtocol
        }

        var key: Key { Key(address: address, transport: transport) }
    }

    struct ListenerArguments: Block, Sendable {
        let settings: ListenerSettings?

        init(from block: inout BlockReader) {
            let addressText: String = block.required("address", "Address to listen on, as `host:port`.")
            let transport = block.optional(
                "protocol", default: TransportProtocol.tcp, "How messages arrive: `tcp` or `udp`.")
            let idleTimeout = block.optional(
                "idle_timeout", default: Duration.seconds(120), "Silence that ends a TCP connection.")
            let labelsStructuredData = block.optional(
                "label_structured_data", default: false, "Whether structured data becomes labels.")
            let labels = block.optional("labels", default: LabelSet.empty, "Labels added to every entry.")
            let usesIncomingTimestamp = block.optional(
                "use_incoming_timestamp", default: false,
                "Whether entries get the time of the message; else it is the time of its arrival.")
            let sendsWholeMessage = block.optional(
                "use_rfc5424_message", default: false, "Whether the line is the whole message, its header included.")
            let takesCurrentYear = block.optional(
                "rfc3164_default_to_current_year", default: false,
                "Whether times without a year are of the current one; else such messages get the time of their arrival."
            )
            let allowsEmptyMessages = block.optional(
                "rfc5424_allow_empty_msg", default: false, "Whether messages without a text are forwarded.")
            let maximumLength = block.optional(
                "max_message_length", default: 8192, "Bytes of the longest message taken.")
            let format = block.optional(
                "syslog_format", default: Format.rfc5424, "How messages are written: `rfc5424`, `rfc3164` or `raw`.")
            let datagramQueue = block.optional(
                "udp_queue_size", default: 10, "Longest messages that may wait to be read from a UDP socket.")
            let hostCacheSize = block.optional(
                "udp_host_cache_size", default: 128, "Senders over UDP whose host names are remembered.")
            let tls: TLSArguments = block.block("tls_config", "Encryption of TCP connections.")
            let raw: RawOptions? = block.optionalBlock(
                "raw_format_options", "How messages of the raw format are told apart.", stability: .experimental)
            let cisco: CiscoArguments? = block.optionalBlock(
                "rfc3164_cisco_components", "What Cisco IOS adds to messages.", stability: .experimental)
            let address = SocketAddress(addressText)
            if address?.port == nil, block.isSet("address") { block.reject("address", "must be `host:port`") }
            if maximumLength < 0 { block.reject("max_message_length", "must not be negative") }
            if datagramQueue < 1 { block.reject("udp_queue_size", "must be at least 1") }
            if hostCacheSize < 0 { block.reject("udp_host_cache_size", "must not be negative") }
            if cisco != nil, format != .rfc3164 {
                block.reject(
                    "rfc3164_cisco_components",
                    "rfc3164_cisco_components has no effect when syslog format is not \"rfc3164\"")
            }
            if format == .raw {
                let settings: [(Bool, String)] = [
                    (sendsWholeMessage, "use_rfc5424_message"),
                    (takesCurrentYear, "rfc3164_default_to_current_year"),
                    (usesIncomingTimestamp, "use_incoming_timestamp"),
                ]
                for (isOn, name) in settings where isOn {
                    block.reject(name, "has no effect when syslog format is set to \"raw\"")
                }
            } else if raw != nil {
                block.reject(
                    "raw_format_options", "raw_format_options has no effect when syslog format is not \"raw\"")
            }
            let encryption = Self.serverSettings(tls.settings, transport, &block)
            guard let address else {
                settings = nil
                return
            }
            settings = ListenerSettings(
                address: address, transport: transport, idleTimeout: idleTimeout > .zero ? idleTimeout : .seconds(120),
                labels: labels, parser: SyslogParser(format.parsed, cisco: cisco?.components),
                labelsStructuredData: labelsStructuredData, usesIncomingTimestamp: usesIncomingTimestamp,
                takesCurrentYear: takesCurrentYear, sendsWholeMessage: sendsWholeMessage && format == .rfc5424,
                allowsEmptyMessages: allowsEmptyMessages && format == .rfc5424,
                maximumLength: maximumLength > 0 ? min(maximumLength, 64 << 20) : 8192,
                delimiter: raw?.endsWithNull == true ? 0 : 0x0A, datagramQueue: max(datagramQueue, 1),
                hostCacheSize: max(hostCacheSize, 0), tls: encryption)
        }

        /// What a server makes of the block, which is written for clients; nil without a certificate.
        private static func serverSettings(
            _ given: TLSClientSettings, _ transport: TransportProtocol, _ block: inout BlockReader
        ) -> TLSServerSettings? {
            var made = TLSServerSettings()
            made.certificatePEM = given.certificatePEM
            made.certificateFile = given.certificateFile
            made.keyPEM = given.keyPEM
            made.keyFile = given.keyFile
            made.clientCAPEM = given.caPEM
            made.clientCAFile = given.caFile
            made.minimumVersion = given.minimumVersion
            let hasCA = given.caPEM != nil || given.caFile != nil
            if hasCA { made.clientAuthentication = .requireAndVerify }
            if given.serverName != nil || given.skipsVerification {
                block.warn("tls_config", "server_name and insecure_skip_verify have no effect on a listener")
            }
            let hasCertificate = given.certificatePEM != nil || given.certificateFile != nil
            let hasKey = given.keyPEM != nil || given.keyFile != nil
            guard hasCA || hasCertificate || hasKey else { return nil }
            if transport == .udp {
                block.warn("tls_config", "has no effect on a listener for UDP")
                return nil
            }
            guard hasCertificate, hasKey else {
                block.reject("tls_config", "certificate and key must be configured")
                return nil
            }
            return made
        }
    }

    struct RawOptions: Block, Sendable {
        let endsWithNull: Bool

        init(from block: inout BlockReader) {
            endsWithNull = block.optional(
                "use_null_terminator_delimiter", default: false,
                "Whether a null byte ends a message instead of a line break.")
        }
    }

    struct CiscoArguments: Block, Sendable {
        let components: SyslogParser.CiscoComponents

        init(from block: inout BlockReader) {
            let all = block.optional("enable_all", default: false, "Whether all of them are expected.")
            let counter = block.optional(
                "message_counter", default: false, "Whether messages are counted before their time.")
            let sequence = block.optional(
                "sequence_number", default: false, "Whether log lines are counted before their time.")
            let host = block.optional("hostname", default: false, "Whether a host name stands before the time.")
            let fractions = block.optional(
                "second_fractions", default: false, "Whether times have fractions of a second.")
            if !all, !counter, !sequence, !host, !fractions {
                block.reject("at least one option in rfc3164_cisco_components has to be enabled")
            }
            components = SyslogParser.CiscoComponents(
                hasCounter: all || counter, hasSequence: all || sequence, hasHostName: all || host,
                hasFractions: all || fractions)
        }
    }
}

extension LokiSourceSyslog.Arguments: MemoryDemanding {
    /// One message of ordinary length for each listener.
    package var minimumMemory: ByteCount { .kibibytes(64 * listeners.count) }
}
