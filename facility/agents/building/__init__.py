"""The building's hands: set-points carried to gateways of BACnet or Modbus, read back, and handed back."""
