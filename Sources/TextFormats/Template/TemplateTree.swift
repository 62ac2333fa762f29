/// An operand of a command and where it stands in the text.
struct TemplateOperand: Sendable {
    indirect enum Kind: Sendable {
        case dot
        case constant(GoValue)
        /// `.a.b` from dot.
        case field([String])
        /// `$x.a.b`
        case variable(String, [String])
        /// `(pipeline).a.b`
        case pipeline(TemplatePipeline, [String])
        /// A function by name, fields of its result following when it stands alone.
        case function(String, [String])
    }

    var kind: Kind
    var range: Range<Int>
}

struct TemplateCommand: Sendable {
    var operands: [TemplateOperand]
    var range: Range<Int>
}

struct TemplatePipeline: Sendable {
    var declared: [String] = []
    var isAssignment = false
    var commands: [TemplateCommand] = []
    var range: Range<Int>
}

indirect enum TemplateStatement: Sendable {
    case text([UInt8])
    case action(TemplatePipeline)
    case condition(TemplatePipeline, [TemplateStatement], [TemplateStatement])
    case with(TemplatePipeline, [TemplateStatement], [TemplateStatement])
    case range(TemplatePipeline, [TemplateStatement], [TemplateStatement])
    case template(String, TemplatePipeline?, Range<Int>)
    case leaveLoop
    case nextRound
}
