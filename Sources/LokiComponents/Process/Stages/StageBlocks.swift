import AlloySyntax

/// The blocks `stage.*`, in a pipeline or inside `stage.match`.
enum StageBlocks {
    static func read(_ block: inout BlockReader) -> [any StageConfiguration] {
        block.variants("stage", "One step of the pipeline; steps run in the order they are written.", all)
    }

    private static func variant<B: Block & StageConfiguration>(
        _ name: String, _ doc: String, _ type: B.Type
    ) -> Variant<any StageConfiguration> {
        Variant(name, doc, type) { $0 }
    }

    private static let all: [Variant<any StageConfiguration>] = [
        variant("cri", "Reads the Kubernetes container log format.", CRIArguments.self),
        variant("decolorize", "Removes ANSI colours from the line.", DecolorizeArguments.self),
        variant("docker", "Reads Docker's JSON log format.", DockerArguments.self),
        variant("drop", "Drops entries that meet all conditions.", DropArguments.self),
        variant(
            "eventlogmessage", "Extracts the pairs of a Windows event log message.", EventLogMessageArguments.self),
        variant("geoip", "Looks an address up in a MaxMind database.", GeoIPArguments.self),
        variant("json", "Extracts values from JSON.", JSONArguments.self),
        variant("label_drop", "Removes labels.", LabelDropArguments.self),
        variant("label_keep", "Removes all labels but those listed.", LabelKeepArguments.self),
        variant("labels", "Sets labels from values.", LabelsArguments.self),
        variant("limit", "Limits the rate of entries.", LimitArguments.self),
        variant("logfmt", "Extracts values from logfmt pairs.", LogfmtArguments.self),
        variant("luhn", "Replaces numbers with a valid Luhn checksum, such as card numbers.", LuhnArguments.self),
        variant("match", "Runs stages on, or drops, the entries a selector chooses.", MatchArguments.self),
        variant("metrics", "Makes metrics of values.", MetricsArguments.self),
        variant("multiline", "Joins the lines of a block to one entry.", MultilineArguments.self),
        variant("output", "Replaces the line by a value.", OutputArguments.self),
        variant("pack", "Puts labels and the line into a JSON object.", PackArguments.self),
        variant("pattern", "Extracts values by a LogQL pattern.", PatternArguments.self),
        variant("regex", "Extracts values by a regular expression.", RegexArguments.self),
        variant("replace", "Replaces what a regular expression matches.", ReplaceArguments.self),
        variant("sampling", "Keeps a share of the lines.", SamplingArguments.self),
        variant("split_json", "Makes an entry of each element of a JSON array.", SplitJSONArguments.self),
        variant("static_labels", "Sets labels to fixed values.", StaticLabelsArguments.self),
        variant(
            "structured_metadata", "Sets structured metadata from values and labels.", StructuredMetadataArguments.self),
        variant(
            "structured_metadata_drop", "Removes structured metadata.", StructuredMetadataDropArguments.self),
        variant("template", "Sets a value by a Go template.", TemplateArguments.self),
        variant("tenant", "Sets the tenant of the entry.", TenantArguments.self),
        variant("timestamp", "Sets the timestamp from a value.", TimestampArguments.self),
        variant("truncate", "Cuts what is too long.", TruncateArguments.self),
        variant("windowsevent", "Extracts the sections of a Windows event message.", WindowsEventArguments.self),
    ]
}
