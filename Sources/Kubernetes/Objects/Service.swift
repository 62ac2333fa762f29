package import TextFormats

/// A service, as far as targets need it (core/v1).
package struct Service: KubernetesObject {
    package static let resource = KubernetesResource(plural: "services")

    package struct Port: Sendable, Equatable {
        package var name = ""
        package var number = 0
        package var transport = ""
    }

    package var metadata = ObjectMetadata()
    package var type = ""
    package var clusterIP = ""
    package var externalName = ""
    /// What `spec.loadBalancerIP` asks for.
    package var requestedLoadBalancerIP = ""
    /// What the load balancer got.
    package var loadBalancerIPs: [String] = []
    package var ipFamilyPolicy = ""
    package var ipFamilies: [String] = []
    package var ports: [Port] = []

    package init(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError) {
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            switch member {
            case "metadata": metadata = try ObjectMetadata(&cursor, &texts)
            case "spec": try readSpec(&cursor, &texts)
            case "status": try readStatus(&cursor)
            default: break
            }
        }
    }

    private mutating func readSpec(
        _ cursor: inout JSONCursor, _ texts: inout TextTable
    ) throws(TextFormatError) {
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            switch member {
            case "type": type = try cursor.text(&texts)
            case "clusterIP": clusterIP = try cursor.string() ?? ""
            case "externalName": externalName = try cursor.string() ?? ""
            case "loadBalancerIP": requestedLoadBalancerIP = try cursor.string() ?? ""
            case "ipFamilyPolicy": ipFamilyPolicy = try cursor.text(&texts)
            case "ipFamilies": ipFamilies = try cursor.strings(&texts)
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
                    ports.append(port)
                }
            default: break
            }
        }
    }

    private mutating func readStatus(_ cursor: inout JSONCursor) throws(TextFormatError) {
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            guard case "loadBalancer" = member, try cursor.enterObject() else { continue }
            while let member = try cursor.nextMember() {
                guard case "ingress" = member, try cursor.enterArray() else { continue }
                while try cursor.nextElement() {
                    guard try cursor.enterObject() else { continue }
                    while let member = try cursor.nextMember() {
                        if case "ip" = member, let ip = try cursor.string(), !ip.isEmpty { loadBalancerIPs.append(ip) }
                    }
                }
            }
        }
    }
}

/// An ingress, as far as targets need it (networking.k8s.io/v1).
package struct Ingress: KubernetesObject {
    package static let resource = KubernetesResource(group: "networking.k8s.io", plural: "ingresses")

    package struct Rule: Sendable, Equatable {
        package var host = ""
        /// Nil when the rule says nothing of HTTP.
        package var paths: [String]?
    }

    package var metadata = ObjectMetadata()
    package var className: String?
    package var rules: [Rule] = []
    package var tlsHosts: [String] = []

    package init(_ cursor: inout JSONCursor, _ texts: inout TextTable) throws(TextFormatError) {
        guard try cursor.enterObject() else { return }
        while let member = try cursor.nextMember() {
            switch member {
            case "metadata": metadata = try ObjectMetadata(&cursor, &texts)
            case "spec":
                guard try cursor.enterObject() else { continue }
                while let member = try cursor.nextMember() {
                    switch member {
                    case "ingressClassName": className = try cursor.string(&texts)
                    case "tls":
                        guard try cursor.enterArray() else { continue }
                        while try cursor.nextElement() {
                            guard try cursor.enterObject() else { continue }
                            while let member = try cursor.nextMember() {
                                if case "hosts" = member { tlsHosts += try cursor.strings(&texts) }
                            }
                        }
                    case "rules":
                        guard try cursor.enterArray() else { continue }
                        while try cursor.nextElement() { rules.append(try Self.rule(&cursor, &texts)) }
                    default: break
                    }
                }
            default: break
            }
        }
    }

    private static func rule(
        _ cursor: inout JSONCursor, _ texts: inout TextTable
    ) throws(TextFormatError) -> Rule {
        var rule = Rule()
        guard try cursor.enterObject() else { return rule }
        while let member = try cursor.nextMember() {
            switch member {
            case "host": rule.host = try cursor.text(&texts)
            case "http":
                guard try cursor.enterObject() else { continue }
                var paths: [String] = []
                while let member = try cursor.nextMember() {
                    guard case "paths" = member, try cursor.enterArray() else { continue }
                    while try cursor.nextElement() {
                        guard try cursor.enterObject() else { continue }
                        var path = ""
                        while let member = try cursor.nextMember() {
                            if case "path" = member { path = try cursor.string() ?? "" }
                        }
                        paths.append(path)
                    }
                }
                rule.paths = paths
            default: break
            }
        }
        return rule
    }
}
