/// Objects as the API would have them, short.
extension KubernetesDouble {
    /// A pod with the given containers, each with its ports as `name:number`.
    package func putPod(
        _ namespace: String, _ name: String, node: String = "node-a", ip: String, labels: [String: String] = [:],
        containers: [(name: String, ports: [String])], phase: String = "Running",
        owner: (kind: String, name: String)? = nil,
        uid: String? = nil, containerState: String = #"{"running":{}}"#, lastState: String = "{}",
        restartPolicy: String = "Always"
    ) {
        let pairs = labels.sorted { $0.key < $1.key }.map { #""\#($0.key)":"\#($0.value)""# }.joined(separator: ",")
        let owners =
            owner.map {
                #"[{"apiVersion":"v1","kind":"\#($0.kind)","name":"\#($0.name)","uid":"o","controller":true}]"#
            }
            ?? "[]"
        let specs = containers.map { container in
            let ports = container.ports.map { port in
                let parts = port.split(separator: ":")
                return #"{"name":"\#(parts[0])","containerPort":\#(parts[1]),"protocol":"TCP"}"#
            }
            return #"""
                {"name":"\#(container.name)","image":"registry.local/\#(container.name):1",\#
                "ports":[\#(ports.joined(separator: ","))],"env":[{"name":"A","value":"quote \" and \\"}]}
                """#
        }
        let statuses = containers.map { container in
            #"""
            {"name":"\#(container.name)","containerID":"containerd://\#(name)-\#(container.name)",\#
            "state":\#(containerState),"lastState":\#(lastState)}
            """#
        }
        put(
            "pods",
            #"""
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"\#(name)","namespace":"\#(namespace)",\#
            "uid":"\#(uid ?? "uid-\(name)")","labels":{\#(pairs)},"ownerReferences":\#(owners),\#
            "managedFields":[{"manager":"m","fieldsV1":{"f:metadata":{}}}]},\#
            "spec":{"nodeName":"\#(node)","restartPolicy":"\#(restartPolicy)",\#
            "containers":[\#(specs.joined(separator: ","))]},\#
            "status":{"phase":"\#(phase)","podIP":"\#(ip)","hostIP":"10.0.0.1",\#
            "conditions":[{"type":"Ready","status":"True"}],\#
            "containerStatuses":[\#(statuses.joined(separator: ","))]}}
            """#)
    }
}
