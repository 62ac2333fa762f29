# The commands of this project; `make help` lists them.
SHELL := /bin/bash
INVAR := .build/release/invar

.PHONY: help run test check bench build release format end-to-end faults fuzz

help:
	@echo 'make run         build, then collect metrics and logs of this host, to look at in the console'
	@echo 'make test        install what the tests need and run all of them'
	@echo 'make check       formatting and structure of the sources'
	@echo 'make bench       the whole program under load beside a peer, then micro benchmarks of the codecs'
	@echo 'make faults      kills, damaged files, full disks and bad receivers against the built program'
	@echo 'make fuzz        mutated inputs for every reader of untrusted bytes; SECONDS=600 TARGET=yaml'
	@echo 'make release     the optimised program, in $(INVAR)'
	@echo 'make format      format the sources in place'

run:
	@Scripts/install-dependencies.sh run
	@Scripts/run.sh

release:
	@Scripts/install-dependencies.sh build
	@swift build -c release --static-swift-stdlib --product invar

build:
	@Scripts/install-dependencies.sh build
	@swift build

test:
	@Scripts/install-dependencies.sh test
	@Scripts/test.sh

check:
	@Scripts/check.sh

format:
	@swift format --in-place --recursive --parallel Sources Plugins Tests Fuzz Benchmarks Package.swift

bench:
	@Scripts/install-dependencies.sh test
	@Benchmarks/run.sh

faults: release
	@python3 Tests/Faults/run.py

FUZZ_SECONDS := $(or $(SECONDS),300)
fuzz:
	@Scripts/install-dependencies.sh test
	@swift build --product fuzz
	@.build/debug/fuzz --seconds $(FUZZ_SECONDS) --seed $$RANDOM $(TARGET)
