# SPDX-License-Identifier: Apache-2.0
"""The parts of tests/run, and of what the demo shares with it: compiling."""
