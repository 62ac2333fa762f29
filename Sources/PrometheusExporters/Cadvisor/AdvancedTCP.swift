import Essentials
import SelfMetrics

/// Counters of TCP of a network namespace, from `net/netstat` and `net/snmp` of one of its processes.
enum AdvancedTCP {
    /// The names of counters as labels; the kernel writes them with capitals.
    private static let names: [String] = [
        "rtoalgorithm", "rtomin", "rtomax", "maxconn", "activeopens", "passiveopens", "attemptfails", "estabresets",
        "currestab", "insegs", "outsegs", "retranssegs", "inerrs", "outrsts", "incsumerrors", "embryonicrsts",
        "syncookiessent", "syncookiesrecv", "syncookiesfailed", "prunecalled", "rcvpruned", "ofopruned",
        "outofwindowicmps", "lockdroppedicmps", "tw", "twrecycled", "twkilled", "tcptimewaitoverflow", "tcptimeouts",
        "tcpspuriousrtos", "tcplossprobes", "tcplossproberecovery", "tcprenorecoveryfail", "tcpsackrecoveryfail",
        "tcprenofailures", "tcpsackfailures", "tcplossfailures", "delayedacks", "delayedacklocked", "delayedacklost",
        "listenoverflows", "listendrops", "tcphphits", "tcppureacks", "tcphpacks", "tcprenorecovery",
        "tcpsackrecovery", "tcpsackreneging", "tcpfackreorder", "tcpsackreorder", "tcprenoreorder", "tcptsreorder",
        "tcpfullundo", "tcppartialundo", "tcpdsackundo", "tcplossundo", "tcpfastretrans", "tcpslowstartretrans",
        "tcplostretransmit", "tcpretransfail", "tcprcvcollapsed", "tcpdsackoldsent", "tcpdsackofosent",
        "tcpdsackrecv", "tcpdsackoforecv", "tcpabortondata", "tcpabortonclose", "tcpabortonmemory",
        "tcpabortontimeout", "tcpabortonlinger", "tcpabortfailed", "tcpmemorypressures", "tcpmemorypressureschrono",
        "tcpsackdiscard", "tcpdsackignoredold", "tcpdsackignorednoundo", "tcpmd5notfound", "tcpmd5unexpected",
        "tcpmd5failure", "tcpsackshifted", "tcpsackmerged", "tcpsackshiftfallback", "tcpbacklogdrop",
        "pfmemallocdrop", "tcpminttldrop", "tcpdeferacceptdrop", "ipreversepathfilter", "tcpreqqfulldocookies",
        "tcpreqqfulldrop", "tcpfastopenactive", "tcpfastopenactivefail", "tcpfastopenpassive",
        "tcpfastopenpassivefail", "tcpfastopenlistenoverflow", "tcpfastopencookiereqd", "tcpsynretrans",
        "tcporigdatasent", "pawsactive", "pawsestab",
    ]

    /// `path` is the process's directory.
    static func add(_ path: String, _ base: [UInt8], _ files: ProcFiles, to page: MetricPage) {
        var values: [String: Int64] = [:]
        for file in ["netstat", "snmp"] {
            let read: Void? = try? files.withFile(path + "/net/" + file) { bytes in
                var header: Bytes?
                for line in bytes.lines {
                    guard let names = header else {
                        header = line
                        continue
                    }
                    header = nil
                    guard names.starts(with: "Tcp:") || names.starts(with: "TcpExt:") else { continue }
                    for (name, value) in zip(names.fields, line.fields) {
                        if let value = value.integer { values[name.string.lowercased()] = value }
                    }
                }
            }
            guard read != nil else { return }
        }
        let family = page.gauge(
            "container_network_advance_tcp_stats_total", "advance tcp connections statistic for container")
        for name in names { page.add(family, base: base, "tcp_state", name, Double(values[name] ?? 0)) }
    }
}
