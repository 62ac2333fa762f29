import AlloySyntax
import Essentials
import Telemetry
import TextFormats

// MARK: stage.geoip

struct GeoIPArguments: Block, StageConfiguration {
    private let path: String
    private let source: String
    private let databaseType: String
    private let lookups: [JSONArguments.NamedExpression]
    private let database: MaxMindDatabase?

    init(from block: inout BlockReader) {
        path = block.required("db", "Path of the MaxMind database.")
        source = block.required("source", "Extracted value that holds the address.")
        databaseType = block.optional("db_type", "What the database is about: `city`, `country` or `asn`.") ?? ""
        let given: [String: String]? = block.optional(
            "custom_lookups", "JMESPath expressions on a record by the name of the value they set.")
        var lookups: [JSONArguments.NamedExpression] = []
        for (name, text) in (given ?? [:]).sorted(by: { $0.key < $1.key }) {
            do throws(JMESPathError) {
                let path = try JMESPath(text.isEmpty ? name : text)
                lookups.append(JSONArguments.NamedExpression(name: name, path: path))
            } catch {
                block.reject("custom_lookups", "could not compile JMES expression: \(error)")
            }
        }
        self.lookups = lookups
        if block.isSet("source"), source.isEmpty { block.reject("source", "source cannot be empty") }
        if databaseType.isEmpty, given == nil { block.reject("db type or values need to be set") }
        if !["", "asn", "city", "country"].contains(databaseType) {
            block.reject("db_type", "db type should be either city or asn")
        }
        var database: MaxMindDatabase?
        if block.isSet("db") {
            if path.isEmpty {
                block.reject("db", "db path cannot be empty")
            } else {
                do {
                    database = try MaxMindDatabase(path: path)
                } catch {
                    block.reject("db", "\(error)")
                }
            }
        }
        self.database = database
    }

    func add(to program: inout ProgramBuilder) {
        guard let database else { return }
        let fields = GeoIPField.fields(of: databaseType).map { (program.slot($0.name), $0) }
        program.append(
            GeoIPStage(
                database, source: program.slot(source), fields: fields,
                lookups: lookups.map { (program.slot($0.name), $0.path) }))
    }
}

/// A value the stage sets and where a record holds it.
private struct GeoIPField: Sendable {
    enum Place: Sendable {
        case path([String])
        /// In the last, most specific, subdivision.
        case subdivision([String])
        /// A coordinate, set when either is not zero.
        case coordinate(String)
    }

    var name: String
    var place: Place

    static func fields(of type: String) -> [GeoIPField] {
        let country: [GeoIPField] = [
            GeoIPField(name: "geoip_country_name", place: .path(["country", "names", "en"])),
            GeoIPField(name: "geoip_country_code", place: .path(["country", "iso_code"])),
            GeoIPField(name: "geoip_continent_name", place: .path(["continent", "names", "en"])),
            GeoIPField(name: "geoip_continent_code", place: .path(["continent", "code"])),
        ]
        switch type {
        case "country": return country
        case "asn":
            return [
                GeoIPField(name: "geoip_autonomous_system_number", place: .path(["autonomous_system_number"])),
                GeoIPField(
                    name: "geoip_autonomous_system_organization", place: .path(["autonomous_system_organization"])),
            ]
        case "city":
            return country + [
                GeoIPField(name: "geoip_city_name", place: .path(["city", "names", "en"])),
                GeoIPField(name: "geoip_postal_code", place: .path(["postal", "code"])),
                GeoIPField(name: "geoip_timezone", place: .path(["location", "time_zone"])),
                GeoIPField(name: "geoip_location_latitude", place: .coordinate("latitude")),
                GeoIPField(name: "geoip_location_longitude", place: .coordinate("longitude")),
                GeoIPField(name: "geoip_subdivision_name", place: .subdivision(["names", "en"])),
                GeoIPField(name: "geoip_subdivision_code", place: .subdivision(["iso_code"])),
            ]
        default: return []
        }
    }

    func value(in record: JSONValue) -> JSONValue? {
        func walk(_ start: JSONValue?, _ path: [String]) -> JSONValue? { path.reduce(start) { $0?[$1] } }
        switch place {
        case .path(let path): return walk(record, path)
        case .subdivision(let path): return walk(record["subdivisions"]?.arrayValue?.last, path)
        case .coordinate(let name):
            let latitude = record["location"]?["latitude"]?.doubleValue ?? 0
            let longitude = record["location"]?["longitude"]?.doubleValue ?? 0
            if latitude == 0, longitude == 0 { return nil }
            return .double(name == "latitude" ? latitude : longitude)
        }
    }

    /// Whether a value found counts: text that is not empty, numbers other than zero.
    func isSet(_ value: JSONValue) -> Bool {
        if case .coordinate = place { return true }
        if let text = value.stringValue { return !text.isEmpty }
        return (value.doubleValue ?? 0) != 0
    }
}

private final class GeoIPStage: Stage {
    private let database: MaxMindDatabase
    private let source: Int
    private let fields: [(slot: Int, field: GeoIPField)]
    private let lookups: [(slot: Int, path: JMESPath)]
    /// What the records looked up lately set, by their place in the file.
    private var known: [Int: [(slot: Int, value: JSONValue)]] = [:]
    private var limiter: LogLimiter?

    private static let maximumKnown = 4096

    init(
        _ database: MaxMindDatabase, source: Int, fields: [(slot: Int, field: GeoIPField)],
        lookups: [(slot: Int, path: JMESPath)]
    ) {
        self.database = database
        self.source = source
        self.fields = fields
        self.lookups = lookups
    }

    func run(_ work: inout Work) -> Verdict {
        guard let address = work.input(source) else { return .next }
        do throws(MaxMindDatabase.Invalid) {
            guard let offset = try database.find(work.text.bytes(address)) else { return .next }
            for (slot, value) in try values(at: offset) { set(slot, value, &work) }
        } catch {
            let limiter = limiter ?? LogLimiter(every: .seconds(10), clock: work.clock)
            self.limiter = limiter
            let log = work.log
            limiter.attempt { suppressed in
                log.error("geoip lookup failed", error, ["suppressed": "\(suppressed)"])
            }
        }
        return .next
    }

    private func values(at offset: Int) throws(MaxMindDatabase.Invalid) -> [(slot: Int, value: JSONValue)] {
        if let found = known[offset] { return found }
        let record = try database.record(at: offset)
        var values: [(slot: Int, value: JSONValue)] = []
        for (slot, field) in fields {
            if let value = field.value(in: record), field.isSet(value) { values.append((slot, value)) }
        }
        for (slot, path) in lookups {
            if let value = try? path.search(record), value != .null { values.append((slot, value)) }
        }
        if known.count >= Self.maximumKnown { known.removeAll() }
        known[offset] = values
        return values
    }

    private func set(_ slot: Int, _ value: JSONValue, _ work: inout Work) {
        switch value {
        case .array, .object: work.set(slot, to: .composite)
        case .number(let number):
            if let unsigned = number.uintValue {
                work.set(slot, to: ExtractedValue(kind: .unsigned, bits: unsigned))
            } else {
                work.set(slot, to: .number(number.doubleValue))
            }
        default: work.set(slot, to: extractedValue(value, &work))
        }
    }
}
