package import TextFormats

/// What an endpoint stands for.
package struct TargetReference: Sendable, Equatable {
    package var kind = ""
    package var key = ObjectKey(name: "")

    init(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError) {
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            switch member {
            case "kind": kind = try cursor.text(&texts)
            case "name": key.name = try cursor.string() ?? ""
            case "namespace": key.namespace = try cursor.text(&texts)
            default: break
            }
        }
    }
}

/// The endpoints of a service in one object (core/v1).
package struct Endpoints: KubernetesObject {
    package static let resource = KubernetesResource(plural: "endpoints")

    package struct Address: Sendable, Equatable {
        package var ip = ""
        package var hostname = ""
        package var nodeName: String?
        package var target: TargetReference?
    }

    package struct Port: Sendable, Equatable {
        package var name = ""
        package var number = 0
        package var transport = ""
    }

    package struct Subset: Sendable, Equatable {
        package var addresses: [Address] = []
        package var notReady: [Address] = []
        package var ports: [Port] = []
    }

    package var metadata = ObjectMetadata()
    package var subsets: [Subset] = []

    package init(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError) {
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            switch member {
            case "metadata": metadata = try ObjectMetadata(&cursor, &texts)
            case "subsets":
                guard try cursor.enterArray() else { continue }
                while try cursor.nextElement() { subsets.append(try Self.subset(&cursor, &texts)) }
            default: break
            }
        }
    }

    private static func subset(
        _ cursor: inout JSONCursor, _ texts: inout TextTable
    ) throws(TextFormatError) -> Subset {
        var subset = Subset()
        guard try cursor.enterObject() else { return subset }
        while let member = try cursor.nextMember() {
            switch member {
            case "addresses": subset.addresses = try addresses(&cursor, &texts)
            case "notReadyAddresses": subset.notReady = try addresses(&cursor, &texts)
            case "ports":
                guard try cursor.enterArray() else { continue }
                while try cursor.nextElement() {
                    guard try cursor.enterObject() else { continue }
                    var port = Port()
                    while let member = try cursor.nextMember() {
                        switch member {
                        case "name": port.name = try cursor.text(&texts)
                        case "port": port.number = try cursor.integer() ?? 0
                        case "protocol": port.transport = try cursor.text(&texts)
                        default: break
                        }
                    }
                    subset.ports.append(port)
                }
            default: break
            }
        }
        return subset
    }

    private static func addresses(
        _ cursor: inout JSONCursor, _ texts: inout TextTable
    ) throws(TextFormatError) -> [Address] {
        var result: [Address] = []
        guard try cursor.enterArray() else { return result }
        while try cursor.nextElement() {
            guard try cursor.enterObject() else { continue }
            var address = Address()
            while let member = try cursor.nextMember() {
                switch member {
                case "ip": address.ip = try cursor.string() ?? ""
                case "hostname": address.hostname = try cursor.string() ?? ""
                case "nodeName": address.nodeName = try cursor.string(&texts)
                case "targetRef": address.target = try TargetReference(&cursor, &texts)
                default: break
                }
            }
            result.append(address)
        }
        return result
    }
}

/// A part of the endpoints of a service (discovery.k8s.io/v1).
package struct EndpointSlice: KubernetesObject {
    package static let resource = KubernetesResource(group: "discovery.k8s.io", plural: "endpointslices")

    package struct Endpoint: Sendable, Equatable {
        package var addresses: [String] = []
        package var isReady: Bool?
        package var isServing: Bool?
        package var isTerminating: Bool?
        package var hostname: String?
        package var nodeName: String?
        package var zone: String?
        package var target: TargetReference?
        package var topology: [NamedText] = []
    }

    package struct Port: Sendable, Equatable {
        package var name: String?
        package var number: Int?
        package var transport: String?
        package var applicationProtocol: String?
    }

    package var metadata = ObjectMetadata()
    package var addressType = ""
    package var endpoints: [Endpoint] = []
    package var ports: [Port] = []

    /// The service the slice belongs to.
    package var serviceName: String? { metadata.label("kubernetes.io/service-name") }

    package init(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError) {
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            switch member {
            case "metadata": metadata = try ObjectMetadata(&cursor, &texts)
            case "addressType": addressType = try cursor.text(&texts)
            case "endpoints":
                guard try cursor.enterArray() else { continue }
                while try cursor.nextElement() { endpoints.append(try Self.endpoint(&cursor, &texts)) }
            case "ports":
                guard try cursor.enterArray() else { continue }
                while try cursor.nextElement() {
                    guard try cursor.enterObject() else { continue }
                    var port = Port()
                    while let member = try cursor.nextMember() {
                        switch member {
                        case "name": port.name = try cursor.string(&texts)
                        case "port": port.number = try cursor.integer()
                        case "protocol": port.transport = try cursor.string(&texts)
                        case "appProtocol": port.applicationProtocol = try cursor.string(&texts)
                        default: break
                        }
                    }
                    ports.append(port)
                }
            default: break
            }
        }
    }

    private static func endpoint(
        _ cursor: inout JSONCursor, _ texts: inout TextTable
    ) throws(TextFormatError) -> Endpoint {
        var endpoint = Endpoint()
        guard try cursor.enterObject() else { return endpoint }
        while let member = try cursor.nextMember() {
            switch member {
            case "addresses": endpoint.addresses = try cursor.strings(&texts)
            case "hostname": endpoint.hostname = try cursor.string(&texts)
            case "nodeName": endpoint.nodeName = try cursor.string(&texts)
            case "zone": endpoint.zone = try cursor.string(&texts)
            case "targetRef": endpoint.target = try TargetReference(&cursor, &texts)
            case "deprecatedTopology": endpoint.topology = try cursor.namedTexts(.all, &texts)
            case "conditions":
                guard try cursor.enterObject() else { continue }
                while let member = try cursor.nextMember() {
                    switch member {
                    case "ready": endpoint.isReady = try cursor.bool()
                    case "serving": endpoint.isServing = try cursor.bool()
                    case "terminating": endpoint.isTerminating = try cursor.bool()
                    default: break
                    }
                }
            default: break
            }
        }
        return endpoint
    }
}
