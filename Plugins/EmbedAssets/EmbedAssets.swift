import Foundation
import PackagePlugin

/// Writes the files of a target's `Assets` folder into Swift whenever they change, so that the program carries them.
@main
struct EmbedAssets: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let assets = target.directoryURL.appending(path: "Assets")
        let output = context.pluginWorkDirectoryURL.appending(path: "ConsoleAsset+All.swift")
        return [
            .buildCommand(
                displayName: "Embedding the assets of \(target.name)",
                executable: try context.tool(named: "AssetEmbedder").url,
                arguments: [assets.path(percentEncoded: false), output.path(percentEncoded: false)],
                inputFiles: try files(below: assets),
                outputFiles: [output])
        ]
    }

    /// Every file and folder below, so that a new file is noticed as well as a changed one.
    private func files(below folder: URL) throws -> [URL] {
        guard let entries = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil) else {
            throw CocoaError(.fileReadNoSuchFile, userInfo: [NSFilePathErrorKey: folder.path])
        }
        return entries.compactMap { $0 as? URL }
    }
}
