import Essentials
import Glibc
import SelfMetrics

/// `drm`: graphics cards of AMD, from `/sys/class/drm`.
final class DRMCollector: NodeCollector {
    private static let numbers: [(file: String, metric: String, help: String)] = [
        ("gpu_busy_percent", "gpu_busy_percent", "How busy the GPU is as a percentage."),
        (
            "mem_info_gtt_total", "memory_gtt_size_bytes",
            "The size of the graphics translation table (GTT) block in bytes."
        ),
        (
            "mem_info_gtt_used", "memory_gtt_used_bytes",
            "The used amount of the graphics translation table (GTT) block in bytes."
        ),
        ("mem_info_vram_total", "memory_vram_size_bytes", "The size of VRAM in bytes."),
        ("mem_info_vram_used", "memory_vram_used_bytes", "The used amount of VRAM in bytes."),
        ("mem_info_vis_vram_total", "memory_vis_vram_size_bytes", "The size of visible VRAM in bytes."),
        ("mem_info_vis_vram_used", "memory_vis_vram_used_bytes", "The used amount of visible VRAM in bytes."),
    ]

    func collect(_ scrape: NodeScrape) throws {
        let root = scrape.paths.sys("class/drm")
        let page = scrape.page
        let info = page.gauge("node_drm_card_info", "Card information")
        for card in Directory.numbered(root, "card") where card.utf8.count == 5 {
            let path = "\(root)/\(card)/device/"
            let events = try scrape.files.text(path + "uevent")
            // Others tell nothing of this; upstream lists them without a name and with zeros.
            guard events.split(separator: "\n").contains("DRIVER=amdgpu") else { continue }
            func text(_ file: String) -> String { scrape.files.optional { try scrape.files.text(path + file) } ?? "" }
            page.add(
                info,
                labels: [
                    ("card", card), ("memory_vendor", text("mem_info_vram_vendor")),
                    ("power_performance_level", text("power_dpm_force_performance_level")),
                    ("unique_id", text("unique_id")), ("vendor", "amd"),
                ], 1)
            for entry in Self.numbers {
                page.add(
                    page.gauge("node_drm_" + entry.metric, entry.help), "card", card,
                    Double(UInt64(text(entry.file)) ?? 0))
            }
        }
    }
}
