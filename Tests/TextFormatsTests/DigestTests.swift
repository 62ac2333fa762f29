import Testing

@testable import TextFormats

@Suite("Digests")
struct DigestTests {
    /// Figures from python3's hashlib, hmac and zlib over `(i * 7 + n) & 255`.
    @Test(
        "Hashes agree with python's",
        arguments: [
            (
                0,
                [
                    "d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
                    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
                    "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
                    "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad", "00000000", "00000001",
                ]
            ),
            (
                1,
                [
                    "55a54008ad1ba589aa210d2629c1df41", "bf8b4530d8d246dd74ac53a13471bba17941dff7",
                    "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a",
                    "7b54b66836c1fbdd13d2441d9e1434dc62ca677fb68f5fe66a464baadecdbd00576f8d6b5ac3bcc80844b7d50b1cc6603444bbe7cfcf8fc0aa1ee3c636d9e339",
                    "2767f15c8af2f2c7225d5273fdd683edc714110a987d1054697c348aed4e6cc7",
                    "00428c350bfa16e2290663af38cfba0fa0390057e2ab380234d620e7d7e332cb", "a505df1b", "00020002",
                ]
            ),
            (
                3,
                [
                    "c9aee4810523ef8658121b8d492c6b41", "4201de9f98cb0a9b8cf52398be7802b55d45266a",
                    "6ab0dba1f4f1dfbb37b4f9eeb092c09fca4900ad32bdcd147d8dde35d6c87c35",
                    "8853167ab14c043919981a6409307ef68b5b726f4b80dcab259daa24b7cabcb8b4bbfd3e2e36ed98465059661f672e6529cdcc673e7eabfa78dd3186745b112a",
                    "fffadd0ae913c0947143ac7c6bf1d512c1b265db8ac52100614bd022ae2412d4",
                    "539101869b2bbdb4b35f41086f9563126974b7486504c25dec456e3fd3fd545f", "6d58af33", "0031001f",
                ]
            ),
            (
                55,
                [
                    "f1289732253518750e22b62a571a1748", "63ac9708fb581dd150d3647549f9e0cb51dcf1df",
                    "81afe5b788dc2ce138ff83d9b20164db75a94d75d2b2432eea4a0ef605088c72",
                    "19910fbb344bf57448fff9ee9a58106f31e23a8a339aa91f8c31e8efd180595f6aea94cf4abb7262b5d93e3d70efc38703ccc204e3a3b95faa54c503aceb3f62",
                    "8b4ecd6ee4165a90d824f440efb51618e882ddbf026e1da9e18469bbfac0e5c6",
                    "5415661072d46fb3fc22a45f0c66578a8df678e07e2eadea78bf5f3e43174743", "abadefa5", "e2291a6d",
                ]
            ),
            (
                56,
                [
                    "179e3b9fa272a23e2a8b32bde1015414", "5a0c4d0eb2f15e05bbbff6b8dada9ae767fc03f0",
                    "2aba54f0ac632420a2b502431408866e40e1d5e430df4cd822642c78ab2eb9c1",
                    "87fffcf68777e021d6068baeb18a877d98dd19c758435d1964f96d26865a00060a0f4493381d59414f483f38e72aaa8fc364fd0605a2aea92c709861e28b43c9",
                    "604b5612c2d6ce4f13694a1de4a07af2b6b6a840bd086eaf4693c7477f16290c",
                    "d5dacedffd6d255a26cff76c004c499621e3fad3d1c0dcf18d0b520886cf04b1", "7c7d9a1a", "03991b5d",
                ]
            ),
            (
                63,
                [
                    "dd785945d1d6b87eca0d276dbb8756fd", "d94ff3ad53f9b9327704b812ee9c1f3abbba3d48",
                    "733d3d4ee79ee67145bf73da13588f6f235d37414fc64b14a2f00f1762792f5e",
                    "a2df1363c3caa5f2744cb66cd03885632cd6fe8e8c9272976761c7eb2b0f438247a201902914ec616b3b38352efe6c3457a0e90b8e62ebf8ab99f9d92b8fb4db",
                    "1baa8297c7e580a8f7ae44b3837e0ca38b89b63665d62b92484b1ce86f439b12",
                    "e184a05c0de84cfe725be170ee8b6fb9d7ad8d145b9806348fde65ba52853510", "bef0ca58", "edcc21e9",
                ]
            ),
            (
                64,
                [
                    "e3ab394ce4eb7da020a27d2e2443143c", "5f55a35e13f1865e7ffc22dca1275b1a49b0ff56",
                    "79322907b3e9d013d7dc2c2f256674dbf733045cde01df3539271c6f5605feb8",
                    "afba2b1a4441b2333a7f48688f7a6e3839312024bad590da5237c383821c3a9ea75ffba852ccf5b85d87726128501dbd6b8073cbc85c091f293f683542c3ed9d",
                    "f57f60e28f34fac23919bf4ff8458ce7aac93ee2d2ad61a2f5e70ae23f02541e",
                    "f246d45b8d667f4ecf1b41a56a1761a1df7d8da3c53a7d1fc470deb73c3d645a", "869618e4", "18dc2321",
                ]
            ),
            (
                65,
                [
                    "28a6b0f918d9aea03e979a1657d8d0f6", "d7f8931010f8342a97383e1410a58c47d057708b",
                    "d85c007c6eb440f085afa2b84f6f2bce4658b240e9f62cb1364bf0485a57e720",
                    "2cbdc26833af6d9d8d4175d4cf30278d4184810bfc30110fa796fb26b1fcded85f58847aabce07308851e81bdf4c7bd40a08a7f81a3570235e61175591bd4539",
                    "3b29ebb82405122d6b853bd061cb0ca3b682ffba052609811d3310e5b570b1f0",
                    "152a328981621437bca587d62f2cbdacb4431c3fd2086e5af65605c9fe2cfbec", "a028eee2", "445e2362",
                ]
            ),
            (
                111,
                [
                    "d54c1b85b05a0800af2c6d01394f0421", "6f3940d34dd76944c03f3ba2825a385c92d8300e",
                    "b41ae5233b9ec35d8576a032034d2857b667a618c7038714d727d4dae3aa2525",
                    "df79e18538ec82120d0eb59f92ade93fc786e47b5c622121a065503708882f7801fa4b115197504b74feb420ee58fb85718ab98a5bf461bf7f8897472c26be4d",
                    "0039d04733a3b72c8aeb0f2ec13e75eb7a7987949b649f54b025fd74de8e009c",
                    "185804ef801bb23da57f9c0bd55e038e59a1f7c110d6a3c1ebabbc39d81b7e24", "e606ceb1", "b18b3711",
                ]
            ),
            (
                112,
                [
                    "80ddd4569b593235048eb5e2cdc38c8d", "8968f10b24861960792c092aced440e6838b7c3a",
                    "0949563bc78e5ccd85603fa20368a33ed3d2da0141c8284a3b1515fe4683cdd7",
                    "d7377bc7047400daa33483946a6e2ec47609bc5f64b8309effd8d38b764b6ef250086511cc4cc9b4e5806613ecdf2a7b86ffcf0b9c88a571b869b32dfeca4b0a",
                    "36b8a94b813ced73ff4f53e478d92c6ee45744b55da88db8197c5b6e1325cde3",
                    "0e8accf4bcca63772342d5bf84996eeb6e121045212be7056d8f25958f063c53", "accd0448", "01db37f9",
                ]
            ),
            (
                127,
                [
                    "36d03458e8a745e61afcf02257826e12", "82d007f6e7e5672722c0717b6bea2ba6f17cd35c",
                    "68f6ff710276900c0ffbbc57426f67e00c2e01f0750c7edc25ac06b8ce7a8095",
                    "82b7fc0e1e5d1bb8e56e25cef83ba1205d3b3b44c9efacb33b11b13ffc47d1502beb4b9cc885239d9a03a255757c582ee9aaa270c742f8bfd959228443704bf5",
                    "ead5e37f690f550655f0cb32ef53eb57d99c9f35fecce608ce87f3d775f2fb8f",
                    "deb3befe1869b5c3c489d75066e2cfd6906234e1cfc7bab12fe30365c95a57fc", "93ea027b", "802f42c9",
                ]
            ),
            (
                128,
                [
                    "52cc29caecfd9380a2261a80c58e6787", "0a44ac02432f6ead67d86fcb70a4d8ce589e50ec",
                    "489d55fea9a73af36b6dd0be7b4117d8e5683386d39544e8a44c99a87f368707",
                    "eb5119a4c3e176a3e0cb2bf8a6237bdc1e474f9f501f27c84284d2289b1ade3a5a1913236a2b771e0f435f2a9b17792eb23eb92248a199f991228ff65de55d09",
                    "062c81c4d79144b603de0a8aeb2e0bd164567a219174e01d99836ebf4989e900",
                    "2381d99eb5660ef833f214bf074edcd84abf01b0129c2bac4dc13436ffb63b61", "ab4bf525", "e4304441",
                ]
            ),
            (
                129,
                [
                    "0fa5eac15b498f879494809c74939fc7", "461b146c523c63566b8bf8852dc8462116cf2e3f",
                    "4e1556b2e9a50a3cc9478f3254727b01065f9ac5d2c3a8b4cd538ae7240bb87d",
                    "06e68bf71185b1fda1d64bc8dc221aeaa9040b40d202d6030f840940ff2e530056550e68bd5d7a68d6fcf910077cd5b6c0befa877a436ddae766dd278592d2b6",
                    "0e724964f3d0e9f7bb14a5ad6f84c9121bd4ae09be0a6cf45794796b5106f97d",
                    "02d96092fc7cede319070d752015105b9c8cf1198b84e9d73c3aa3126569ac6c", "c2e6a730", "494144c2",
                ]
            ),
            (
                135,
                [
                    "e9a8a40e69f9c82ccb4e6b97f8a93e2f", "39efa73461141b7823dea473f4b34c5abcae24ad",
                    "0eea3025e4a37d3b2bd952fdee392fd179b4fec0aca90a9359d836f86b089a00",
                    "352c028520c260b42aff538f2574bb3fb93a482519cb64003a7c7601f9ffd857ffc18d6b720f4783c2547587fd8de452b922e866833432888cbddb00927986dd",
                    "a936dec012587abe2bee1422bd71aa34ca72f35da145948cdf9e03a50e7e1c9b",
                    "62e0972c5f02c299910056f353153d62a6d458017ac84b700693c8f767ad712f", "ff0b099f", "c4a14485",
                ]
            ),
            (
                136,
                [
                    "de636ba00ab76d397bf0e709e22b88c1", "ff2002b8e87a6cc25c32bb9b95f99a8145e54b4c",
                    "b72d3b91114641dc389ef63339b20e5c9ee433830181cc1dfb0b31399238ad15",
                    "23f2e11baa44f6312526a3d1a4c40928a971315bc3500f13cba8e954fb75991eefd1010f86a62e35ee4b4e35676addfb6c4b42e4ec90683cdd4b97f1c92f2bb8",
                    "bdd56554bf27dee4a5d55347bc41811864f1bc07afd58416ce76862888580fee",
                    "c9b9e65b6efee5f6deff2b6d9c0260a28a0ce85654dec995c3692da1a304a8a1", "b324530a", "2dd14545",
                ]
            ),
            (
                137,
                [
                    "31ab357f78327a0a5345a4722d2454fb", "fd3b5015331174ae31dd125d3df8100910ad34bd",
                    "38290bf1c604be3889d181a6742d78b480dca5c25b58b2d204df47f826a68370",
                    "128d468ddeedaf42a4dda4d83c206eb52d56cea6d312e3b0f204612a4761b90bbb425f04a732d37a32233883a3f800a2cda7d3fe91af08db8cc498b9ee47336e",
                    "e38f198ccc57fe1df7edf60217fb68c5c7dbcc1ad5c95980e3557b6e1fbd1321",
                    "f82f5238b2c1a0a72d3d562f1496bbfcfe7ed1866c49cdd1e79c3edd3be9328b", "e9da74b6", "2043450e",
                ]
            ),
            (
                200,
                [
                    "b0983ae447d393f829763d5b1a27d8f1", "bafd66c677716439f129c10ff429fa9d431408ec",
                    "8e3f3819b4f1b1f71c011c6b854c43601f132c3c88b8982b20733d2b1695c593",
                    "4b103b9342b3e474a2b13f499150ba84992a152a6c5f7a3fac1cb6a2950328bd72ddc335068b71959a9c07722da4134f0d1fae1d0024a86f15c2984d1760618b",
                    "981e9f2a8545dd73acb1607b0e9cbb6c6d8213f2bf8cd499f11e23905ac42e1f",
                    "0aeaf50f88024685ec1bc8cfb8bff7f3008653ad89e8660dc3ae8038d865c865", "8cb2db7f", "399d6365",
                ]
            ),
            (
                1000,
                [
                    "c3b2968d34e038455d14c8827156e193", "7461968a9edb9b418224f1acb305d2feeaa10ba5",
                    "6b0df76627243d095b0c4400cb658b7e804dd03461cc03aee8fc8fe0bcada168",
                    "5c9833a6b6d14cabd5256ae50e9217163760d44bafa40d2e0e64ee13a2b74ec3f10d965a04c7381d12383c59ee449c75241303eb3806dcf1d8ca0c566fe1ed6a",
                    "7cc0e22c8d0c46eb56aa03a1901cb3736b90d44dbb3feeeb775f29245387294c",
                    "b5f193055efb8e6000b75cae38831f0990de6cc579d5bb9543d44cfcf8d32ed5", "616d2259", "dddcf084",
                ]
            ),
        ] as [(Int, [String])])
    func hashes(count: Int, expected: [String]) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 + count) }
        #expect(Hex.encode(MD5.digest(bytes)) == expected[0])
        #expect(Hex.encode(SHA1.digest(bytes)) == expected[1])
        #expect(Hex.encode(SHA256.digest(bytes)) == expected[2])
        #expect(Hex.encode(SHA512.digest(bytes)) == expected[3])
        #expect(Hex.encode(SHA3_256.digest(bytes)) == expected[4])
        #expect(Hex.encode(HMAC<SHA256>.code(bytes, key: bytes)) == expected[5])
        #expect(GoFormat.sprintf("%08x", [.int(Int64(CRC32.checksum(bytes)))]) == expected[6])
        #expect(GoFormat.sprintf("%08x", [.int(Int64(bytes.withUnsafeBytes { Adler32.checksum($0) }))]) == expected[7])
        var pieces = SHA512()
        for start in stride(from: 0, to: count, by: 37) { pieces.update(Array(bytes[start..<min(count, start + 37)])) }
        #expect(Hex.encode(pieces.finish()) == expected[3])
    }

    @Test("CRC-32C agrees with RFC 3720, FNV-1a and xxHash64 with their published vectors")
    func others() {
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.checksum((0..<32).map { UInt8($0) }) == 0x46DD_794E)
        #expect("foobar".withBytes { FNV1a.hash64($0) } == 0x8594_4171_F739_67E8)
        #expect("foobar".withBytes { FNV1a.hash32($0) } == 0xBF9C_F968)
        #expect(XXHash64.hash([]) == 0xEF46_DB37_51D8_E999)
        #expect(XXHash64.hash(Array("a".utf8)) == 0xD24E_C4F1_A98C_6E5B)
        #expect(XXHash64.hash(Array("abc".utf8)) == 0x44BC_2CF5_AD77_0999)
        let fox = "Call me Ishmael. Some years ago--never mind how long precisely-"
        #expect(XXHash64.hash(Array(fox.utf8)) == 0x02A2_E854_70D6_FD96)
    }

    @Test("Hexadecimal is read and written")
    func hex() {
        #expect(Hex.decode("00fFa1".utf8) == [0, 255, 161] && Hex.encode([0, 255, 161]) == "00ffa1")
        #expect(Hex.decode("0".utf8) == nil && Hex.decode("0g".utf8) == nil && Hex.decode("".utf8) == [])
    }
}
