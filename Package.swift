// swift-tools-version: 6.2
import PackageDescription

/// Flags every Swift target is compiled with; `Docs/Architecture.md` explains each.
let swiftSettings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

/// A level of the architecture: a module may import `Essentials` and what is listed for it, nothing else.
func module(
    _ name: String,
    _ dependencies: [Target.Dependency] = [],
    exclude: [String] = [],
    resources: [Resource]? = nil,
    plugins: [Target.PluginUsage]? = nil
) -> Target {
    .target(
        name: name,
        dependencies: name == "Essentials" ? dependencies : ["Essentials"] + dependencies,
        exclude: exclude,
        resources: resources,
        swiftSettings: swiftSettings,
        plugins: plugins)
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource]? = nil) -> Target {
    .testTarget(
        name: name + "Tests",
        dependencies: [.byName(name: name)] + dependencies,
        resources: resources,
        swiftSettings: swiftSettings)
}

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOHTTP1", package: "swift-nio"),
    .product(name: "NIOHTTP2", package: "swift-nio-http2"),
    .product(name: "NIOSSL", package: "swift-nio-ssl"),
]

/// What a component family may import.
let kit: [Target.Dependency] = [
    "AlloySyntax", "Telemetry", "SelfMetrics", "Wire", "Storage", "Transport", "ComponentKit", "TextFormats",
    "Compression",
]

/// What components that talk to Kubernetes import besides.
let kubernetes: [Target.Dependency] = ["Kubernetes", "KubernetesKit"]

let package = Package(
    name: "invar",
    products: [
        .executable(name: "invar", targets: ["invar"]),
        .library(name: "AlloySyntax", targets: ["AlloySyntax"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    ],
    targets: [
        // Level 0: ground
        .systemLibrary(name: "CSnappy", providers: [.apt(["libsnappy-dev"])]),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CZstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CBzip2", providers: [.apt(["libbz2-dev"])]),
        .systemLibrary(name: "CCrypt", providers: [.apt(["libcrypt-dev"])]),
        .systemLibrary(name: "CKafka", providers: [.apt(["librdkafka-dev"])]),
        .systemLibrary(name: "CYaml", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CRE2System", pkgConfig: "re2", providers: [.apt(["libre2-dev"])]),
        .target(name: "CRE2", dependencies: ["CRE2System"]),
        .target(name: "CLinux"),
        .target(name: "CNode"),
        module("Essentials", ["CLinux"]),
        module("Compression", ["CSnappy", "CZlib", "CZstd", "CBzip2"]),
        module("TextFormats", ["CRE2", "CYaml"]),

        // Level 1: domain
        module("AlloySyntax", ["TextFormats"]),
        module("Telemetry", ["TextFormats"]),
        module("SelfMetrics"),

        // Level 2: substrates
        module("Wire", ["Telemetry", "Compression", "TextFormats"]),
        module("Storage", ["CLinux", "SelfMetrics", "TextFormats"]),
        module("LogSources"),
        module("OTTL", ["AlloySyntax", "Telemetry", "Wire", "TextFormats"]),
        module(
            "Transport",
            [
                "SelfMetrics", "Compression", "TextFormats", "CLinux",
                .product(name: "CryptoExtras", package: "swift-crypto"),
            ] + nio),
        module("Kubernetes", ["TextFormats", "Transport"]),

        // Level 3: the component author's kit
        module("ComponentKit", ["AlloySyntax", "Telemetry", "SelfMetrics", "Transport", "TextFormats"]),
        module(
            "KubernetesKit",
            ["AlloySyntax", "Telemetry", "Transport", "TextFormats", "Kubernetes", "ComponentKit"]),

        // Level 4: families
        module("DiscoveryComponents", kit + kubernetes),
        module("InvarComponents", kit),
        module("LokiComponents", kit + kubernetes + ["LogSources"]),
        module("OtelcolComponents", kit + kubernetes + ["CCrypt", "CKafka", "LogSources", "OTTL"]),
        module("PlatformComponents", kit + kubernetes),
        module("PrometheusComponents", kit + kubernetes),
        module("PrometheusExporters", kit + ["CLinux", "CNode"]),

        // Level 5: program
        module(
            "Runtime",
            ["AlloySyntax", "Telemetry", "SelfMetrics", "Storage", "ComponentKit", "Transport", "TextFormats"]),
        module(
            "Console",
            ["AlloySyntax", "Telemetry", "SelfMetrics", "ComponentKit", "Runtime", "Transport", "TextFormats", "Wire"],
            exclude: ["Assets"], plugins: ["EmbedAssets"]),
        .plugin(name: "EmbedAssets", capability: .buildTool(), dependencies: ["AssetEmbedder"]),
        .executableTarget(name: "AssetEmbedder", swiftSettings: swiftSettings),

        // Level 6: the command
        module(
            "InvarCLI",
            [
                "AlloySyntax", "ComponentKit", "Console", "DiscoveryComponents", "InvarComponents",
                "LokiComponents", "OtelcolComponents", "PlatformComponents", "PrometheusComponents",
                "PrometheusExporters", "Runtime", "SelfMetrics",
                "Storage", "Telemetry", "TextFormats", "Transport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .executableTarget(
            name: "invar", dependencies: ["InvarCLI"], swiftSettings: swiftSettings,
            linkerSettings: [
                // A tenth smaller: nothing is looked up in the program by name, and equal functions are kept once.
                .unsafeFlags(
                    ["-Xlinker", "--no-export-dynamic", "-Xlinker", "--icf=safe"], .when(configuration: .release))
            ]),

        // Measurements; never part of the program
        .systemLibrary(name: "CEpoll", path: "Benchmarks/CEpoll"),
        .executableTarget(
            name: "loki-process-benchmark",
            dependencies: ["AlloySyntax", "ComponentKit", "LokiComponents", "Telemetry", "TestKit"],
            path: "Benchmarks/LokiProcess", swiftSettings: swiftSettings),
        .executableTarget(
            name: "logs-benchmark", dependencies: ["Compression", "Essentials"], path: "Benchmarks/Logs",
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "remote-write-benchmark",
            dependencies: ["Compression", "Essentials", "Storage", "Telemetry", "Wire"],
            path: "Benchmarks/RemoteWrite", swiftSettings: swiftSettings),
        .executableTarget(
            name: "pipeline-load", dependencies: ["CEpoll", "CSnappy"], path: "Benchmarks/PipelineLoad",
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "ottl-benchmark", dependencies: ["Essentials", "OTTL", "Telemetry", "Wire"],
            path: "Benchmarks/OTTL", swiftSettings: swiftSettings),
        .executableTarget(
            name: "exposition-benchmark", dependencies: ["Essentials", "Telemetry", "Wire"],
            path: "Benchmarks/Exposition", swiftSettings: swiftSettings),
        .executableTarget(
            name: "codecs-benchmark", dependencies: ["Compression", "Essentials", "Telemetry", "Wire"],
            path: "Benchmarks/Codecs", swiftSettings: swiftSettings),
        .executableTarget(
            name: "reliability-benchmark", dependencies: ["Compression", "Essentials", "Storage", "Telemetry", "Wire"],
            path: "Benchmarks/Reliability", swiftSettings: swiftSettings),

        // Mutated inputs for every reader of untrusted bytes; never part of the program
        .executableTarget(
            name: "fuzz",
            dependencies: [
                "AlloySyntax", "Compression", "Essentials", "LokiComponents", "OTTL", "OtelcolComponents",
                "PrometheusExporters", "Storage", "Telemetry", "TextFormats", "Transport", "Wire",
            ],
            path: "Fuzz", exclude: ["Corpus"], swiftSettings: swiftSettings),

        // Tests
        module("TestKit", kit + kubernetes + ["Runtime"]),
        tests("Essentials"),
        tests("Compression"),
        tests("TextFormats"),
        tests("AlloySyntax", ["TextFormats"]),
        tests("Telemetry", ["Essentials"]),
        tests("SelfMetrics"),
        tests("Wire", ["Telemetry", "Compression"]),
        tests("Storage", ["Essentials"]),
        tests("Transport", ["SelfMetrics", "Compression", "TextFormats"]),
        tests("Kubernetes", kit + ["KubernetesKit", "TestKit"]),
        tests("ComponentKit", ["AlloySyntax", "Telemetry", "SelfMetrics", "Transport", "TextFormats", "TestKit"]),
        tests("DiscoveryComponents", kit + kubernetes + ["TestKit"]),
        tests("InvarComponents", kit + ["TestKit"]),
        tests("LokiComponents", kit + kubernetes + ["LogSources", "TestKit"]),
        tests("OtelcolComponents", kit + kubernetes + ["LogSources", "TestKit"]),
        tests("OTTL", ["Essentials", "Telemetry", "Wire", "TextFormats"]),
        tests("PlatformComponents", kit + kubernetes + ["TestKit"]),
        tests("PrometheusComponents", kit + kubernetes + ["TestKit"]),
        tests("PrometheusExporters", kit + ["TestKit"]),
        tests("Runtime", kit + ["TestKit"]),
        tests("Console", kit + ["PrometheusComponents", "Runtime"]),
        tests("InvarCLI", kit + ["Console", "Runtime", "TestKit"]),
        .testTarget(
            name: "CatalogueTests",
            dependencies: [
                "AlloySyntax", "ComponentKit", "DiscoveryComponents", "Essentials", "LokiComponents",
                "OtelcolComponents", "PlatformComponents", "PrometheusComponents", "PrometheusExporters", "TextFormats",
            ],
            exclude: ["Facts"], swiftSettings: swiftSettings),
    ],
    cxxLanguageStandard: .cxx17
)
