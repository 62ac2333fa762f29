package import ComponentKit

/// The components of this family, by name.
package let discoveryComponents: [any Component.Type] = [
    DiscoveryDNS.self,
    DiscoveryDocker.self,
    DiscoveryFile.self,
    DiscoveryHTTP.self,
    DiscoveryKubelet.self,
    DiscoveryKubernetes.self,
    DiscoveryRelabel.self,
]
