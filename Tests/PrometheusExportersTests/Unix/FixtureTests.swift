import ComponentKit
import Foundation
import TestKit
import Testing

@testable import PrometheusExporters

@Suite("prometheus.exporter.unix on made-up machines")
struct FixtureTests {
    private func scrape(_ tree: FakeTree, _ collectors: String..., extra: String = "") throws -> Exposed {
        let harness = ComponentHarness(PrometheusExporterUnix.self)
        let list = collectors.map { "\"\($0)\"" }.joined(separator: ", ")
        #expect(harness.start("\(tree.arguments)\nset_collectors = [\(list)]\n\(extra)") == [])
        let page = try harness.scrape()
        #expect(page.duplicates == [])
        #expect(harness.finish() == [])
        return page
    }

    @Test("cpu keeps its counters from falling and forgets CPUs that are gone")
    func cpu() throws {
        let tree = try FakeTree()
        try tree.write(
            "proc/stat", "cpu  1 1\ncpu0 100 200 300 4000 50 60 70 80 90 10\ncpu1 1 2 3 4\nintr 5 1\nctxt 6\n")
        try tree.write("sys/devices/system/cpu/isolated", "1,3-4\n")
        for (cpu, core, count) in [(0, 0, 5), (1, 0, 5), (2, 1, 7)] {
            let path = "sys/devices/system/cpu/cpu\(cpu)"
            try tree.write(path + "/topology/physical_package_id", "0\n")
            try tree.write(path + "/topology/core_id", "\(core)\n")
            try tree.write(path + "/thermal_throttle/core_throttle_count", "\(count)\n")
            try tree.write(path + "/thermal_throttle/package_throttle_count", "30\n")
        }
        let harness = ComponentHarness(PrometheusExporterUnix.self)
        #expect(
            harness.start("\(tree.arguments)\nset_collectors = [\"cpu\", \"stat\"]\ncpu {\nguest = true\n}") == [])
        let page = try harness.scrape()
        #expect(page["node_cpu_seconds_total", #"{cpu="0",mode="idle"}"#] == 40)
        #expect(page["node_cpu_seconds_total", #"{cpu="0",mode="steal"}"#] == 0.8)
        #expect(page["node_cpu_guest_seconds_total", #"{cpu="0",mode="nice"}"#] == 0.1)
        #expect(page["node_cpu_seconds_total", #"{cpu="1",mode="irq"}"#] == 0)
        #expect(page["node_cpu_isolated", #"{cpu="4"}"#] == 1)
        #expect(page["node_cpu_core_throttles_total", #"{core="1",package="0"}"#] == 7)
        #expect(page["node_cpu_package_throttles_total", #"{package="0"}"#] == 30)
        #expect(page["node_intr_total"] == 5)
        try tree.write("proc/stat", "cpu0 90 200 300 3990 50 60 70 80 90 10\n")
        let second = try harness.scrape()
        #expect(second["node_cpu_seconds_total", #"{cpu="0",mode="user"}"#] == 1)
        #expect(second["node_cpu_seconds_total", #"{cpu="0",mode="idle"}"#] == 40)
        #expect(second["node_cpu_seconds_total", #"{cpu="1",mode="idle"}"#] == nil)
        try tree.write("proc/stat", "cpu0 5 0 0 100 0 0 0 0 0 0\n")
        let third = try harness.scrape()
        #expect(third["node_cpu_seconds_total", #"{cpu="0",mode="user"}"#] == 0.05)
        #expect(harness.finish() == [])
    }

    @Test("cpu exports /proc/cpuinfo when asked for")
    func cpuInfo() throws {
        let tree = try FakeTree()
        try tree.write("proc/stat", "cpu0 1 2 3 4\n")
        try tree.write(
            "proc/cpuinfo",
            """
            processor\t: 0
            vendor_id\t: Maker
            cpu family\t: 6
            model\t\t: 85
            model name\t: Maker (R) 3.00GHz
            stepping\t: 7
            microcode\t: 0x1
            cpu MHz\t\t: 2999.998
            cache size\t: 36608 KB
            physical id\t: 1
            core id\t\t: 2
            flags\t\t: fpu avx avx2
            bugs\t\t: spectre_v1 mds

            """)
        let page = try scrape(tree, "cpu", extra: "cpu {\nflags_include = \"^avx\"\n}")
        #expect(
            page[
                "node_cpu_info",
                #"{cachesize="36608 KB",core="2",cpu="0",family="6",microcode="0x1",model="85","#
                    + #"model_name="Maker (R) 3.00GHz",package="1",stepping="7",vendor="Maker"}"#] == 1)
        #expect(page["node_cpu_flag_info", #"{flag="avx2"}"#] == 1)
        #expect(page["node_cpu_flag_info", #"{flag="fpu"}"#] == nil)
        #expect(page.names(withPrefix: "node_cpu_bug") == [])
    }

    @Test("diskstats filters devices and adds what udev knows")
    func disks() throws {
        let tree = try FakeTree()
        try tree.write(
            "proc/diskstats",
            """
               8       0 sda 1 2 3 4000 5 6 7 8000 9 10000 11000 12 13 14 15000 16 17000
               8       1 sda1 1 2 3 4 5 6 7 8 9 10 11
             254       0 dm-0 1 2 3 4 5 6 7 8 9 10 11

            """)
        try tree.write(
            "udev/b8:0",
            "S:disk\nE:ID_MODEL=Disk \"X\"\nE:ID_SERIAL_SHORT=abc\nE:ID_ATA=1\nE:ID_ATA_ROTATION_RATE_RPM=7200\n"
                + "E:ID_FS_TYPE=ext4\nE:ID_FS_UUID=u\n")
        try tree.write("udev/b254:0", "E:DM_NAME=vg-lv\nE:DM_VG_NAME=vg\nE:DM_LV_NAME=lv\n")
        let page = try scrape(tree, "diskstats")
        #expect(page["node_disk_read_bytes_total", #"{device="sda"}"#] == 1536)
        #expect(page["node_disk_read_time_seconds_total", #"{device="sda"}"#] == 4)
        #expect(page["node_disk_flush_requests_time_seconds_total", #"{device="sda"}"#] == 17)
        #expect(page["node_disk_flush_requests_total", #"{device="dm-0"}"#] == nil)
        #expect(page["node_disk_reads_completed_total", #"{device="sda1"}"#] == nil)
        #expect(
            page["node_disk_info", #"{device="sda",major="8",minor="0",model="Disk \"X\"",serial="abc"}"#] == 1)
        #expect(page["node_disk_ata_rotation_rate_rpm", #"{device="sda"}"#] == 7200)
        #expect(page["node_disk_filesystem_info", #"{device="sda",type="ext4",uuid="u"}"#] == 1)
        #expect(
            page["node_disk_device_mapper_info", #"{device="dm-0",lv_name="lv",name="vg-lv",vg_name="vg"}"#] == 1)
        let chosen = try scrape(tree, "diskstats", extra: "disk {\ndevice_include = \"1$\"\n}")
        #expect(Set(chosen.values.keys.map(\.labels).filter { $0 == #"{device="sda1"}"# }).count == 1)
        #expect(chosen["node_disk_reads_completed_total", #"{device="sda"}"#] == nil)
    }

    @Test("filesystem names mounts as the machine does and marks those that fail")
    func filesystems() throws {
        let tree = try FakeTree()
        try tree.write("root/data dir/x", "")
        try tree.write(
            "proc/1/mounts",
            """
            /dev/sda1 \(tree.path)/root/data\\040dir ext4 ro,relatime 0 0
            /dev/sda1 \(tree.path)/root/data\\040dir ext4 rw,relatime 0 0
            /dev/sdb1 \(tree.path)/root/missing xfs rw 0 0
            proc \(tree.path)/root/proc proc rw 0 0
            tmpfs \(tree.path)/root/sys/x tmpfs rw 0 0

            """)
        let page = try scrape(tree, "filesystem")
        let data = #"{device="/dev/sda1",fstype="ext4",mountpoint="/data dir"}"#
        #expect(page["node_filesystem_readonly", data] == 1)
        #expect(page["node_filesystem_device_error", data] == 0)
        #expect((page["node_filesystem_size_bytes", data] ?? 0) > 0)
        let missing = #"{device="/dev/sdb1",fstype="xfs",mountpoint="/missing"}"#
        #expect(page["node_filesystem_device_error", missing] == 1)
        #expect(page["node_filesystem_size_bytes", missing] == nil)
        #expect(page.values.keys.filter { $0.name == "node_filesystem_readonly" }.count == 2)
    }

    @Test("hwmon, thermal zones, power supplies and bonds are read from sysfs")
    func hardware() throws {
        let tree = try FakeTree()
        try tree.write("sys/devices/platform/coretemp.0/hwmon/hwmon3/name", "coretemp\n")
        let chip = "sys/devices/platform/coretemp.0/hwmon/hwmon3"
        for (file, text) in [
            ("temp1_input", "54000"), ("temp1_label", "Package id 0"), ("temp1_crit_alarm", "0"),
            ("fan2_input", "1200"),
            ("in0_input", "1500"), ("power1_average_interval", "1000"), ("power1_input", "2500000"),
            ("curr1_max", "3000"),
            ("beep_enable", "1"), ("uevent", "x"),
        ] { try tree.write(chip + "/" + file, text + "\n") }
        try tree.link(chip + "/device", to: "../..")
        try tree.link("sys/class/hwmon/hwmon3", to: "../../devices/platform/coretemp.0/hwmon/hwmon3")
        try tree.write("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
        try tree.write("sys/class/thermal/thermal_zone0/temp", "-12345\n")
        try tree.write("sys/class/thermal/cooling_device0/type", "Processor\n")
        try tree.write("sys/class/thermal/cooling_device0/max_state", "50\n")
        try tree.write("sys/class/thermal/cooling_device0/cur_state", "1\n")
        for (file, text) in [("capacity", "81"), ("energy_now", "36580000"), ("temp", "305"), ("status", "Charging")] {
            try tree.write("sys/class/power_supply/BAT0/" + file, text + "\n")
        }
        try tree.write("sys/class/net/bonding_masters", "bond0 bond1\n")
        try tree.write("sys/class/net/bond0/bonding/slaves", "eth0 eth1\n")
        try tree.write("sys/class/net/bond0/lower_eth0/bonding_slave/mii_status", "up\n")
        try tree.write("sys/class/net/bond0/slave_eth1/bonding_slave/mii_status", "down\n")
        try tree.write("sys/class/net/bond1/bonding/slaves", "\n")
        let page = try scrape(tree, "hwmon", "thermal_zone", "powersupplyclass", "bonding")
        let sensor = #"{chip="platform_coretemp_0",sensor="temp1"}"#
        #expect(page["node_hwmon_temp_celsius", sensor] == 54)
        #expect(page["node_hwmon_temp_crit_alarm_celsius", sensor] == 0)
        #expect(
            page["node_hwmon_sensor_label", #"{chip="platform_coretemp_0",label="Package id 0",sensor="temp1"}"#] == 1)
        #expect(page["node_hwmon_chip_names", #"{chip="platform_coretemp_0",chip_name="coretemp"}"#] == 1)
        #expect(page["node_hwmon_fan_rpm", #"{chip="platform_coretemp_0",sensor="fan2"}"#] == 1200)
        #expect(page["node_hwmon_in_volts", #"{chip="platform_coretemp_0",sensor="in0"}"#] == 1.5)
        #expect(page["node_hwmon_power_watt", #"{chip="platform_coretemp_0",sensor="power1"}"#] == 2.5)
        #expect(
            page["node_hwmon_power_average_interval_seconds", #"{chip="platform_coretemp_0",sensor="power1"}"#] == 1)
        #expect(page["node_hwmon_curr_max_amps", #"{chip="platform_coretemp_0",sensor="curr1"}"#] == 3)
        #expect(page["node_thermal_zone_temp", #"{type="cpu-thermal",zone="0"}"#] == -12.345)
        #expect(page["node_cooling_device_max_state", #"{name="0",type="Processor"}"#] == 50)
        #expect(page["node_power_supply_energy_watthour", #"{power_supply="BAT0"}"#] == 36.58)
        #expect(page["node_power_supply_temp_celsius", #"{power_supply="BAT0"}"#] == 30.5)
        #expect(page["node_power_supply_info", #"{power_supply="BAT0",status="Charging"}"#] == 1)
        #expect(page["node_bonding_slaves", #"{master="bond0"}"#] == 2)
        #expect(page["node_bonding_active", #"{master="bond0"}"#] == 1)
        #expect(page["node_bonding_slaves", #"{master="bond1"}"#] == 0)
        let none = try scrape(tree, "hwmon", extra: "hwmon {\nchip_exclude = \"coretemp\"\n}")
        #expect(none.names(withPrefix: "node_hwmon") == [])
    }

    @Test("mdadm, edac, rapl, nvme, dmi and tapes are read")
    func storage() throws {
        let tree = try FakeTree()
        try tree.write(
            "proc/mdstat",
            """
            Personalities : [raid1] [raid0]
            md1 : active raid1 sdb1[1] sda1[0](F) sdc1[2](S)
                  1000 blocks super 1.2 [2/1] [U_]
                  [==>....]  recovery = 12.5% (125/1000) finish=1.0min speed=10K/sec

            md0 : active raid0 sdb2[1] sda2[0]
                  500 blocks super 1.2 64k chunks

            md9 : inactive sdz1[0](S)
                  7 blocks super 1.2

            unused devices: <none>

            """)
        let controller = "sys/devices/system/edac/mc/mc0"
        for (file, text) in [
            ("ce_count", "1"), ("ce_noinfo_count", "2"), ("ue_count", "3"), ("ue_noinfo_count", "4"),
            ("csrow0/ce_count", "5"), ("csrow0/ue_count", "6"),
        ] { try tree.write(controller + "/" + file, text + "\n") }
        try tree.write("sys/class/powercap/intel-rapl:0/name", "package-0\n")
        try tree.write("sys/class/powercap/intel-rapl:0/energy_uj", "240422366267\n")
        for (file, text) in [("firmware_rev", "1B"), ("model", "Fast SSD  "), ("serial", "S1"), ("state", "live")] {
            try tree.write("sys/class/nvme/nvme0/" + file, text + "\n")
        }
        try tree.write("sys/class/dmi/id/sys_vendor", "Maker\n")
        try tree.write("sys/class/dmi/id/bios_date", "01/02/2024\n")
        for (file, value) in [
            "in_flight", "io_ns", "other_cnt", "read_byte_cnt", "read_cnt", "read_ns", "resid_cnt", "write_byte_cnt",
            "write_cnt", "write_ns",
        ].enumerated().map({ ($0.element, $0.offset + 1) }) {
            try tree.write("sys/class/scsi_tape/st0/stats/" + file, "\(value)000000000\n")
        }
        try tree.write("sys/class/scsi_tape/nst0/x", "")
        let page = try scrape(tree, "mdadm", "edac", "rapl", "nvme", "dmi", "tapestats")
        #expect(page["node_md_state", #"{device="md1",state="recovering"}"#] == 1)
        #expect(page["node_md_state", #"{device="md1",state="active"}"#] == 0)
        #expect(page["node_md_disks", #"{device="md1",state="active"}"#] == 1)
        #expect(page["node_md_disks", #"{device="md1",state="failed"}"#] == 1)
        #expect(page["node_md_disks", #"{device="md1",state="spare"}"#] == 1)
        #expect(page["node_md_disks_required", #"{device="md1"}"#] == 2)
        #expect(page["node_md_blocks_synced", #"{device="md1"}"#] == 125)
        #expect(page["node_md_disks_required", #"{device="md0"}"#] == 2)
        #expect(page["node_md_blocks", #"{device="md0"}"#] == 500)
        #expect(page["node_md_state", #"{device="md9",state="inactive"}"#] == 1)
        #expect(page["node_edac_csrow_correctable_errors_total", #"{controller="0",csrow="unknown"}"#] == 2)
        #expect(page["node_edac_csrow_uncorrectable_errors_total", #"{controller="0",csrow="0"}"#] == 6)
        let zone = "{index=\"0\",path=\"\(tree.path)/sys/class/powercap/intel-rapl:0\"}"
        #expect(page["node_rapl_package_joules_total", zone] == 240422.366267)
        #expect(
            page[
                "node_nvme_info", #"{device="nvme0",firmware_revision="1B",model="Fast SSD",serial="S1",state="live"}"#]
                == 1)
        #expect(page["node_dmi_info", #"{bios_date="01/02/2024",system_vendor="Maker"}"#] == 1)
        #expect(page["node_tape_io_time_seconds_total", #"{device="st0"}"#] == 2)
        #expect(page["node_tape_written_bytes_total", #"{device="st0"}"#] == 8e9)
        #expect(page["node_tape_io_now", #"{device="nst0"}"#] == nil)
    }

    @Test("textfile takes whole files or none, and says when they were written")
    func textfiles() throws {
        let tree = try FakeTree()
        try tree.write(
            "text/good.prom",
            """
            # HELP backup_seconds Time of the backup.
            # TYPE backup_seconds histogram
            backup_seconds_bucket{le="1"} 2
            backup_seconds_bucket{le="+Inf"} 3
            backup_seconds_sum 4.5
            backup_seconds_count 3
            plain{path="C:\\\\x",quote="\\""} NaN
            """)
        try tree.write("text/time.prom", "late 1 1700000000000\n")
        try tree.write("text/bad.prom", "fine 1\nbroken{a=\"b} 1\n")
        try tree.write("text/other.txt", "other 1\n")
        let page = try scrape(tree, "textfile", extra: "textfile {\ndirectory = \"\(tree.path)/t*xt\"\n}")
        #expect(page.types["backup_seconds"] == "histogram")
        #expect(page.helps["backup_seconds"] == "Time of the backup.")
        #expect(page["backup_seconds_bucket", #"{le="+Inf"}"#] == 3)
        #expect(page["backup_seconds_sum"] == 4.5)
        #expect(page.types["plain"] == "untyped")
        #expect(page.helps["plain"] == "Metric read from \(tree.path)/text/good.prom")
        #expect(page["plain", #"{path="C:\\x",quote="\""}"#]?.isNaN == true)
        #expect(page["late"] == nil && page["fine"] == nil && page["other"] == nil)
        #expect(page["node_textfile_scrape_error"] == 1)
        #expect((page["node_textfile_mtime_seconds", "{file=\"\(tree.path)/text/good.prom\"}"] ?? 0) > 1.7e9)
        #expect(page["node_textfile_mtime_seconds", "{file=\"\(tree.path)/text/bad.prom\"}"] == nil)
    }

    @Test("os reads os-release with its quotes")
    func osRelease() throws {
        let tree = try FakeTree()
        try tree.write(
            "root/usr/lib/os-release",
            "NAME=\"My \\\"OS\\\"\"\n# comment\nID='my'\nVERSION_ID=22.04.1\nSUPPORT_END=2030-01-02\n")
        let page = try scrape(tree, "os")
        #expect(page["node_os_info", #"{id="my",name="My \"OS\"",version_id="22.04.1"}"#] == 1)
        #expect(page["node_os_version", #"{id="my",name="My \"OS\""}"#] == 22.04)
        #expect(page["node_os_support_end_timestamp_seconds"] == 1_893_542_400)
    }

    @Test("A collector without its files reports failure and leaves the others alone")
    func missing() throws {
        let tree = try FakeTree()
        try tree.write("proc/loadavg", "0.5 1 2e-1 1/2 3\n")
        let page = try scrape(tree, "loadavg", "meminfo", "nvme")
        #expect(page["node_load15"] == 0.2)
        #expect(page["node_scrape_collector_success", #"{collector="loadavg"}"#] == 1)
        #expect(page["node_scrape_collector_success", #"{collector="meminfo"}"#] == 0)
        #expect(page["node_scrape_collector_success", #"{collector="nvme"}"#] == 0)
    }
}
