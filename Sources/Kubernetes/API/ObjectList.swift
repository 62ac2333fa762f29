/// Reads lists that do not come from the API server, such as a kubelet's pods.
package enum ObjectList {
    /// The objects of a list in JSON.
    package static func read<Object: KubernetesObject>(
        _ bytes: [UInt8], as type: Object.Type = Object.self
    ) throws(KubernetesError) -> [Object] {
        var texts = TextTable()
        return try ListPage<Object>(bytes, &texts).objects
    }
}
