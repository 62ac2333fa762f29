import AlloySyntax

/// Every detector there is, by the blocks that configure them.
enum DetectorCatalog {
    /// Reads the blocks of all detectors.
    static func read(from block: inout BlockReader) -> [ConfiguredDetector] {
        [
            ConfiguredDetector(name: "env", detector: EnvironmentDetector(), isOff: []),
            detector(EC2Detector.self, &block), detector(ECSDetector.self, &block), detector(EKSDetector.self, &block),
            detector(ElasticBeanstalkDetector.self, &block), detector(LambdaDetector.self, &block),
            detector(AkamaiDetector.self, &block), detector(AzureDetector.self, &block),
            detector(AKSDetector.self, &block), detector(ConsulDetector.self, &block),
            detector(DockerDetector.self, &block), detector(DigitalOceanDetector.self, &block),
            detector(GoogleCloudDetector.self, &block), detector(HerokuDetector.self, &block),
            detector(HetznerDetector.self, &block), detector(SystemDetector.self, &block),
            detector(OpenShiftDetector.self, &block), detector(KubernetesNodeDetector.self, &block),
            detector(KubeadmDetector.self, &block), dynatrace(&block), detector(NovaDetector.self, &block),
            detector(OracleCloudDetector.self, &block), detector(ScalewayDetector.self, &block),
            detector(UpCloudDetector.self, &block), detector(VultrDetector.self, &block),
            detector(TencentDetector.self, &block), detector(AlibabaDetector.self, &block),
        ]
    }

    private static func detector<Detector: ResourceDetector>(
        _ type: Detector.Type, _ block: inout BlockReader
    ) -> ConfiguredDetector {
        let read: DetectorBlock<Detector> = block.block(Detector.name, Detector.doc)
        return read.configured
    }

    /// The one detector whose attributes cannot be switched off.
    private static func dynatrace(_ block: inout BlockReader) -> ConfiguredDetector {
        let _: EmptyBlock = block.block(DynatraceDetector.name, DynatraceDetector.doc)
        return ConfiguredDetector(name: DynatraceDetector.name, detector: DynatraceDetector(), isOff: [])
    }
}

private struct EmptyBlock: Block {
    init(from block: inout BlockReader) {}
}
