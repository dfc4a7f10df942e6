"""Redfish: power limits past the operating system, through the management controllers of many nodes (DMTF DSP0266 and DSP8010)."""
