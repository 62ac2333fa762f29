import Foundation
import TestKit
import Testing
import TextFormats

@testable import PrometheusExporters

@Suite("prometheus.exporter.unix: tables of the kernel and network drivers")
struct KernelTableTests {
    private func scrape(_ tree: FakeTree, _ collector: String, extra: String = "") throws -> Exposed {
        let harness = ComponentHarness(PrometheusExporterUnix.self)
        #expect(harness.start("\(tree.arguments)\nset_collectors = [\"\(collector)\"]\n\(extra)") == [])
        let page = try harness.scrape()
        #expect(page.duplicates == [])
        #expect(harness.finish() == [])
        return page
    }

    private func succeeded(_ page: Exposed, _ collector: String) -> Bool {
        page["node_scrape_collector_success", "{collector=\"\(collector)\"}"] == 1
    }

    // MARK: ethtool

    @Test(
        "Statistics get the metric names of upstream",
        arguments: [
            ("rx_bytes", "received_bytes"), ("align_errors", "align_errors"), ("Port.RX_unicast", "port_rx_unicast"),
            ("port.rx_unicast", "port_rx_unicast"), ("queue_0_tx_cnt", "queue_0_transmitted_cnt"),
            ("rx_rx_rx", "received_rx_received"), ("tx", "transmitted"), ("prefix_rx", "prefix_received"),
            ("__tx_timeout", "transmitted_timeout"), ("rxq_0", "rxq_0"), ("Tx Bytes/s", "transmitted_bytes_s"),
            ("", ""),
        ])
    func statisticNames(name: String, metric: String) {
        // A dot becomes an underscore, which ends a word as well.
        let expected = metric.replacing("port_rx_", with: "port_received_")
        #expect(EthtoolCollector.metricName(name) == expected)
    }

    private func statistics(_ pattern: String, _ list: [(name: String, value: UInt64)]) throws -> Exposed {
        let page = MetricPage()
        let arguments = EthtoolArguments(metrics: try RegularExpression(pattern))
        EthtoolCollector(arguments).add(list, device: "eth7", to: page)
        return Exposed(String(decoding: page.render(), as: UTF8.self))
    }

    @Test("Statistics are chosen by metrics_include, and none of two with the same metric is exported")
    func statisticSelection() throws {
        let list: [(name: String, value: UInt64)] = [
            ("rx_packets", 7), ("tx_errors", 8), ("queue 0", 9), ("queue.0", 10), ("collisions", 11),
        ]
        let all = try statistics(".*", list)
        #expect(all["node_ethtool_received_packets_total", #"{device="eth7"}"#] == 7)
        #expect(all["node_ethtool_transmitted_errors_total", #"{device="eth7"}"#] == 8)
        #expect(all["node_ethtool_collisions", #"{device="eth7"}"#] == 11)
        #expect(all.helps["node_ethtool_collisions"] == "Network interface collisions")
        #expect(all.types["node_ethtool_collisions"] == "untyped")
        #expect(all.values.count == 3)
        #expect(try statistics("^(coll|rx)", list).values.count == 2)
    }

    @Test("Link modes are told as ports, speeds and capabilities")
    func linkModes() {
        let page = MetricPage()
        // 10baseT half, 1000baseT full, autonegotiation, twisted pair, pause.
        LinkModes.add(
            supported: 1 << 0 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 13, advertised: 1 << 31, device: "e", to: page)
        let exposed = Exposed(String(decoding: page.render(), as: UTF8.self))
        #expect(exposed["node_network_supported_speed_bytes", #"{device="e",duplex="half",mode="10baseT"}"#] == 1.25e6)
        #expect(
            exposed["node_network_supported_speed_bytes", #"{device="e",duplex="full",mode="1000baseT"}"#] == 1.25e8)
        #expect(
            exposed["node_network_advertised_speed_bytes", #"{device="e",duplex="full",mode="25000baseCR"}"#]
                == 3.125e9)
        #expect(exposed["node_network_supported_port_info", #"{device="e",type="TP"}"#] == 1)
        #expect(exposed["node_network_autonegotiate_supported", #"{device="e"}"#] == 1)
        #expect(exposed["node_network_autonegotiate_advertised", #"{device="e"}"#] == 0)
        #expect(exposed["node_network_pause_supported", #"{device="e"}"#] == 1)
        #expect(exposed["node_network_asymmetricpause_supported", #"{device="e"}"#] == 0)
    }

    @Test("Devices that are gone or have names no device can have are passed over")
    func ethtoolOfMissingDevices() throws {
        let tree = try FakeTree()
        try tree.write("sys/class/net/gone0/mtu", "1\n")
        try tree.write("sys/class/net/a-name-that-is-longer-than-any-device-has/mtu", "1\n")
        let page = try scrape(tree, "ethtool")
        #expect(succeeded(page, "ethtool"))
        #expect(page.names(withPrefix: "node_ethtool") == [])
        let none = try scrape(try FakeTree(), "ethtool")
        #expect(!succeeded(none, "ethtool"))
    }

    // MARK: ipvs

    private static let services = """
        IP Virtual Server version 1.2.1 (size=4096)
        Prot LocalAddress:Port Scheduler Flags
          -> RemoteAddress:Port Forward Weight ActiveConn InActConn
        TCP  0A010203:0050 wlc
          -> 0A010210:1F90      Masq    100    7          3
          -> 0A010211:1F90      Masq    50     1          2
        UDP  [2001:0db8:0000:0000:0000:0000:0000:0001]:0035 rr
          -> [2001:0db8:0000:0000:0000:0000:0000:00a0]:0035      Route   1      4          5
        FWM  00000007 wlc
          -> 0A010212:0000      Tunnel  9      0          1

        """

    private static let totals = """
           Total Incoming Outgoing         Incoming         Outgoing
           Conns  Packets  Packets            Bytes            Bytes
              1F       A0        2             BEEF                0

         Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
               4        1        0                A                0

        """

    @Test("ipvs reads services over both families and by mark")
    func ipvs() throws {
        let tree = try FakeTree()
        try tree.write("proc/net/ip_vs_stats", Self.totals)
        try tree.write("proc/net/ip_vs", Self.services)
        let page = try scrape(tree, "ipvs")
        #expect(succeeded(page, "ipvs"))
        #expect(page["node_ipvs_connections_total"] == 31)
        #expect(page["node_ipvs_incoming_bytes_total"] == 48_879)
        let active = "node_ipvs_backend_connections_active"
        #expect(
            page[
                active,
                #"{local_address="10.1.2.3",local_port="80",proto="TCP",remote_address="10.1.2.16",remote_port="8080"}"#
            ] == 7)
        #expect(
            page[
                active,
                #"{local_address="2001:db8::1",local_port="53",proto="UDP",remote_address="2001:db8::a0",remote_port="53"}"#
            ] == 4)
        #expect(
            page[
                "node_ipvs_backend_weight",
                #"{local_mark="00000007",local_port="0",proto="FWM",remote_address="10.1.2.18",remote_port="0"}"#] == 9)
        let summed = try scrape(tree, "ipvs", extra: "ipvs {\nbackend_labels = [\"proto\"]\n}")
        #expect(summed[active, #"{proto="TCP"}"#] == 8)
        #expect(summed["node_ipvs_backend_connections_inactive", #"{proto="TCP"}"#] == 5)
        let everything = try scrape(tree, "ipvs", extra: "ipvs {\nbackend_labels = []\n}")
        #expect(everything[active] == 12)
    }

    @Test(
        "ipvs fails on what the kernel does not write",
        arguments: ["TCP  0A0102:0050 wlc\n", "TCP\n", "  -> 0A010210:1F90 Masq -1 7 3\n", "UDP  [::g]:0035 rr\n"])
    func brokenIPVS(text: String) throws {
        let tree = try FakeTree()
        try tree.write("proc/net/ip_vs_stats", Self.totals)
        try tree.write("proc/net/ip_vs", text)
        #expect(try !succeeded(scrape(tree, "ipvs"), "ipvs"))
    }

    // MARK: The others

    @Test("xfs tells the operations of every file system")
    func xfs() throws {
        let tree = try FakeTree()
        try tree.write(
            "sys/fs/xfs/vdb1/stats/stats", "extent_alloc 1 2 3 4\nblk_map 5 6 7 8 9 10 11\nrw 12 13\nvnodes 1 2 3\n")
        try tree.write("sys/fs/xfs/debug/bug_on_assert", "0\n")
        let page = try scrape(tree, "xfs")
        #expect(page["node_xfs_extent_allocation_blocks_freed_total", #"{device="vdb1"}"#] == 4)
        #expect(page["node_xfs_block_mapping_extent_list_compares_total", #"{device="vdb1"}"#] == 11)
        #expect(page["node_xfs_write_calls_total", #"{device="vdb1"}"#] == 12)
        #expect(page["node_xfs_read_calls_total", #"{device="vdb1"}"#] == 13)
        #expect(page["node_xfs_vnode_get_total", #"{device="vdb1"}"#] == 3)
        #expect(page["node_xfs_vnode_hold_total", #"{device="vdb1"}"#] == nil)
        #expect(succeeded(page, "xfs"))
        #expect(try succeeded(scrape(try FakeTree(), "xfs"), "xfs"))
    }

    @Test("cpu_vulnerabilities tells states")
    func vulnerabilities() throws {
        let tree = try FakeTree()
        let root = "sys/devices/system/cpu/vulnerabilities/"
        try tree.write(root + "l1tf", "Not affected\n")
        try tree.write(root + "mds", "Vulnerable: Clear CPU buffers attempted, no microcode\n")
        try tree.write(root + "itlb_multihit", "KVM: Mitigation: VMX disabled\n")
        let page = try scrape(tree, "cpu_vulnerabilities")
        let name = "node_cpu_vulnerabilities_info"
        #expect(page[name, #"{codename="l1tf",state="not affected"}"#] == 1)
        #expect(page[name, #"{codename="mds",state="vulnerable"}"#] == 1)
        #expect(page[name, #"{codename="itlb_multihit",state="unknown"}"#] == 1)
        #expect(succeeded(page, "cpu_vulnerabilities"))
    }

    @Test("sysctl exports single, indexed, named and text values")
    func sysctl() throws {
        let tree = try FakeTree()
        try tree.write("proc/sys/vm/swappiness", "60\n")
        try tree.write("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n")
        try tree.write("proc/sys/kernel/printk", "4 4 1 7\n")
        try tree.write("proc/sys/kernel/ostype", "Linux\n")
        let page = try scrape(
            tree, "sysctl",
            extra: """
                sysctl {
                  include = ["vm.swappiness", "net.ipv4.tcp_rmem:min,default,max", "kernel.printk"]
                  include_info = ["kernel.ostype"]
                }
                """)
        #expect(page["node_sysctl_vm_swappiness"] == 60)
        #expect(page["node_sysctl_net_ipv4_tcp_rmem_max"] == 6_291_456)
        #expect(page["node_sysctl_kernel_printk", #"{index="3"}"#] == 7)
        #expect(page["node_sysctl_info", #"{index="0",name="kernel.ostype",value="Linux"}"#] == 1)
        let wrong = try scrape(tree, "sysctl", extra: "sysctl {\ninclude = [\"kernel.printk:a,b\"]\n}")
        #expect(!succeeded(wrong, "sysctl"))
    }

    @Test(
        "Lines the kernel does not write fail the collector",
        arguments: [
            ("slabinfo", "proc/slabinfo", "slabinfo - version: 2.1\n# name\nshort 1 2\n"),
            ("slabinfo", "proc/slabinfo", "slabinfo - version: 2.1\n# name\nx a 2 3 4 5 : t\n"),
            ("lnstat", "proc/net/stat/x", "entries bad-name\n1 2\n"), ("lnstat", "proc/net/stat/x", "entries\nzz\n"),
            ("meminfo_numa", "sys/devices/system/node/node0/meminfo", "Node 0 MemTotal:\n"),
        ])
    func malformed(collector: String, file: String, text: String) throws {
        let tree = try FakeTree()
        try tree.write(file, text)
        #expect(try !succeeded(scrape(tree, collector), collector))
    }
}
