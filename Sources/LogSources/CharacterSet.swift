/// A set of characters and how bytes stand for them.
///
/// Names are those of golang.org/x/text `ianaindex` (which upstream asks) and, where they do not contradict, `htmlindex`
/// (which older releases asked); case does not matter.
package enum CharacterSet: String, CaseIterable, Sendable {
    case ascii
    case utf8
    case utf16
    case utf16BE
    case utf16LE
    case big5
    case eucJP
    case eucKR
    case gb18030
    case gbk
    case hzGB2312
    case ibm037
    case ibm1047
    case ibm1140
    case ibm437
    case ibm850
    case ibm852
    case ibm855
    case ibm858
    case ibm860
    case ibm862
    case ibm863
    case ibm865
    case ibm866
    case iso2022JP
    case iso88591
    case iso885910
    case iso885913
    case iso885914
    case iso885915
    case iso885916
    case iso88592
    case iso88593
    case iso88594
    case iso88595
    case iso88596
    case iso88597
    case iso88598
    case iso88599
    case koi8R
    case koi8U
    case macCyrillic
    case macintosh
    case shiftJIS
    case windows1250
    case windows1251
    case windows1252
    case windows1253
    case windows1254
    case windows1255
    case windows1256
    case windows1257
    case windows1258
    case windows874

    /// The set of `name`; nil when there is none of that name.
    package init?(name: String) {
        guard let set = Self.byName[name.lowercased()] else { return nil }
        self = set
    }

    private static let byName: [String: CharacterSet] = {
        var byName: [String: CharacterSet] = [:]
        for set in allCases {
            for name in set.names.split(separator: " ") { byName[String(name)] = set }
        }
        return byName
    }()

    /// Lower-case names, separated by spaces.
    private var names: String {
        switch self {
        case .ascii:
            """
            ansi_x3.4-1968 ansi_x3.4-1986 cp367 csascii ibm367 iso-ir-6 iso646-us iso_646.irv:1991 us \
            us-ascii
            """
        case .utf8: "csutf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8"
        case .utf16: "csutf16 utf-16"
        case .utf16BE: "csutf16be unicodefffe utf-16be"
        case .utf16LE: "csunicode csutf16le iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16le"
        case .big5: "big5 big5-hkscs cn-big5 csbig5 x-x-big5"
        case .eucJP: "cseucpkdfmtjapanese euc-jp extended_unix_code_packed_format_for_japanese x-euc-jp"
        case .eucKR:
            """
            cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 \
            ksc_5601 windows-949
            """
        case .gb18030: "csgb18030 gb18030"
        case .gbk:
            """
            chinese cp936 csgb2312 csgbk csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 ms936 \
            windows-936 x-gbk
            """
        case .hzGB2312: "hz-gb-2312"
        case .ibm037: "cp037 csibm037 ebcdic-cp-ca ebcdic-cp-nl ebcdic-cp-us ebcdic-cp-wt ibm037"
        case .ibm1047: "csibm1047 ibm-1047 ibm1047"
        case .ibm1140: "ccsid01140 cp01140 csibm01140 ebcdic-us-37+euro ibm01140"
        case .ibm437: "437 cp437 cspc8codepage437 ibm437"
        case .ibm850: "850 cp850 cspc850multilingual ibm850"
        case .ibm852: "852 cp852 cspcp852 ibm852"
        case .ibm855: "855 cp855 csibm855 ibm855"
        case .ibm858: "ccsid00858 cp00858 csibm00858 ibm00858 pc-multilingual-850+euro"
        case .ibm860: "860 cp860 csibm860 ibm860"
        case .ibm862: "862 cp862 cspc862latinhebrew ibm862"
        case .ibm863: "863 cp863 csibm863 ibm863"
        case .ibm865: "865 cp865 csibm865 ibm865"
        case .ibm866: "866 cp866 csibm866 ibm866"
        case .iso2022JP: "csiso2022jp iso-2022-jp"
        case .iso88591: "cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso_8859-1 iso_8859-1:1987 l1 latin1"
        case .iso885910: "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 iso_8859-10:1992 l6 latin6"
        case .iso885913: "csiso885913 iso-8859-13 iso8859-13 iso885913"
        case .iso885914:
            """
            csiso885914 iso-8859-14 iso-celtic iso-ir-199 iso8859-14 iso885914 iso_8859-14 \
            iso_8859-14:1998 l8 latin8
            """
        case .iso885915: "csiso885915 csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9 latin-9"
        case .iso885916: "csiso885916 iso-8859-16 iso-ir-226 iso_8859-16 iso_8859-16:2001 l10 latin10"
        case .iso88592: "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2"
        case .iso88593: "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3"
        case .iso88594: "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4"
        case .iso88595:
            """
            csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 \
            iso_8859-5:1988
            """
        case .iso88596:
            """
            arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e \
            iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6-e iso_8859-6-i \
            iso_8859-6:1987
            """
        case .iso88597:
            """
            csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 \
            iso_8859-7 iso_8859-7:1987 sun_eu_greek
            """
        case .iso88598:
            """
            csiso88598e csiso88598i csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-8859-8-i \
            iso-ir-138 iso8859-8 iso88598 iso_8859-8 iso_8859-8-e iso_8859-8-i iso_8859-8:1988 logical \
            visual
            """
        case .iso88599: "csisolatin5 iso-8859-9 iso-ir-148 iso_8859-9 iso_8859-9:1989 l5 latin5"
        case .koi8R: "cskoi8r koi koi8 koi8-r koi8_r"
        case .koi8U: "cskoi8u koi8-ru koi8-u"
        case .macCyrillic: "x-mac-cyrillic x-mac-ukrainian"
        case .macintosh: "csmacintosh mac macintosh x-mac-roman"
        case .shiftJIS: "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis"
        case .windows1250: "cp1250 cswindows1250 windows-1250 x-cp1250"
        case .windows1251: "cp1251 cswindows1251 windows-1251 x-cp1251"
        case .windows1252: "ascii cp1252 cswindows1252 iso8859-1 iso88591 windows-1252 x-cp1252"
        case .windows1253: "cp1253 cswindows1253 windows-1253 x-cp1253"
        case .windows1254: "cp1254 cswindows1254 iso8859-9 iso88599 windows-1254 x-cp1254"
        case .windows1255: "cp1255 cswindows1255 windows-1255 x-cp1255"
        case .windows1256: "cp1256 cswindows1256 windows-1256 x-cp1256"
        case .windows1257: "cp1257 cswindows1257 windows-1257 x-cp1257"
        case .windows1258: "cp1258 cswindows1258 windows-1258 x-cp1258"
        case .windows874: "cswindows874 dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874"
        }
    }
}
