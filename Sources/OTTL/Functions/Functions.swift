/// The functions there are, and those upstream has that are refused by name.
enum Functions {
    static let converters: [String: Converter] = table(
        typeConverters + stringConverters + hashConverters + timeConverters + collectionConverters + parsingConverters
            + networkConverters + xmlConverters + logFormatConverters + contextConverters
    ) { $0.name }

    static let editors: [String: Editor] = table(
        mapEditors + replacementEditors + metricEditors + histogramEditors + spanEditors
    ) {
        $0.name
    }

    /// Functions of upstream that are not here, and why.
    static let refused: [String: String] = {
        var table: [String: String] = [:]
        for name in ["All", "Any", "Filter", "Find", "MapEach", "MapKeys", "Reduce", "When"] {
            table[name] =
                "lambda expressions are an experiment behind ottl.functions.enableLambda, a gate of the collector that is "
                + "not open in Alloy"
        }
        return table
    }()

    private static func table<Function>(_ list: [Function], _ name: (Function) -> String) -> [String: Function] {
        var table: [String: Function] = [:]
        for function in list { table[name(function)] = function }
        return table
    }
}
