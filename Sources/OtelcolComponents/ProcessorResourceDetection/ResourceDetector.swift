import AlloySyntax
import Wire

/// One way to find out where the program runs, with the arguments of its block.
protocol ResourceDetector: Sendable {
    /// The name in `detectors`, which is that of the block too.
    static var name: String { get }
    /// The attributes that can be switched on and off, and whether they are on.
    static var attributes: [DetectableAttribute] { get }
    static var doc: String { get }
    /// Whether nothing to be found is an error for this detector, whatever the component's own argument says.
    var failsOnMissingMetadata: Bool { get }

    /// Reads the arguments beside `resource_attributes`.
    init(from block: inout BlockReader)

    /// Asks. Throws ``DetectionError/absent(_:)`` where the program does not run in such a place.
    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource
}

extension ResourceDetector {
    var failsOnMissingMetadata: Bool { false }
}

struct DetectableAttribute: Sendable {
    let name: String
    let isOn: Bool
    /// Whether it can still be named, but nothing sets it.
    let isDeprecated: Bool

    init(_ name: String, isOn: Bool = true, isDeprecated: Bool = false) {
        self.name = name
        self.isOn = isOn
        self.isDeprecated = isDeprecated
    }

    /// Attributes that are all on.
    static func on(_ names: String...) -> [DetectableAttribute] { names.map { DetectableAttribute($0) } }
}

enum DetectionError: Error, Equatable, CustomStringConvertible {
    /// Nothing says that the program runs in such a place.
    case absent(String)
    case failed(String)

    var description: String {
        switch self {
        case .absent(let reason), .failed(let reason): reason
        }
    }
}

/// What was found out: attributes in order, without those that are switched off.
struct DetectedResource: Sendable, Equatable {
    /// The version of the semantic conventions that names and values follow.
    static let schemaURL = "https://opentelemetry.io/schemas/1.40.0"

    struct Attribute: Sendable, Equatable {
        var name: String
        var value: OTLPAnyValue
    }

    private(set) var attributes: [Attribute] = []
    /// Empty when the attributes follow no version of the conventions.
    var schemaURL = Self.schemaURL

    var isEmpty: Bool { attributes.isEmpty }

    subscript(name: String) -> OTLPAnyValue? { attributes.first { $0.name == name }?.value }

    /// Sets an attribute; an empty text is as good as none.
    mutating func set(_ name: String, _ text: String?) {
        if let text, !text.isEmpty { set(name, .string(text)) }
    }

    mutating func set(_ name: String, _ value: OTLPAnyValue) {
        if let index = attributes.firstIndex(where: { $0.name == name }) {
            attributes[index].value = value
        } else {
            attributes.append(Attribute(name: name, value: value))
        }
    }

    mutating func set(_ name: String, _ texts: [String]) {
        if !texts.isEmpty { set(name, .array(texts.map { .string($0) })) }
    }

    /// Takes from another what is not there yet.
    mutating func fill(from other: DetectedResource) {
        for attribute in other.attributes where self[attribute.name] == nil { attributes.append(attribute) }
        if schemaURL.isEmpty { schemaURL = other.schemaURL }
    }

    mutating func keep(_ isKept: (String) -> Bool) { attributes.removeAll { !isKept($0.name) } }
}

/// The block of a detector.
struct DetectorBlock<Detector: ResourceDetector>: Block {
    let detector: Detector
    private let switches: AttributeSwitches<Detector>

    init(from block: inout BlockReader) {
        detector = Detector(from: &block)
        switches = block.block("resource_attributes", "The attributes that are set.")
    }

    var configured: ConfiguredDetector {
        ConfiguredDetector(name: Detector.name, detector: detector, isOff: switches.off)
    }
}

/// A detector and the attributes it must not set.
struct ConfiguredDetector: Sendable {
    let name: String
    let detector: any ResourceDetector
    let isOff: Set<String>

    func detect(_ probe: HostProbe) async throws(DetectionError) -> DetectedResource {
        var resource = try await detector.detect(probe)
        resource.keep { !isOff.contains($0) }
        return resource
    }
}

/// A `resource_attributes` block: one block for each attribute.
private struct AttributeSwitches<Detector: ResourceDetector>: Block {
    let off: Set<String>

    init(from block: inout BlockReader) {
        var off: Set<String> = []
        for attribute in Detector.attributes {
            let given: AttributeSwitch? = block.optionalBlock(
                attribute.name, "The attribute `\(attribute.name)`.", deprecated: attribute.isDeprecated)
            if !(given?.isEnabled ?? attribute.isOn) { off.insert(attribute.name) }
        }
        self.off = off
    }
}

private struct AttributeSwitch: Block {
    let isEnabled: Bool

    init(from block: inout BlockReader) { isEnabled = block.required("enabled", "Whether the attribute is set.") }
}
