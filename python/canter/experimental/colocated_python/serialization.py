"""What functions that go to another process would be sent with; here they stay in their own."""

from canter_pjrt.jaxlib_door import DeviceList as DeviceList

__all__ = ["DeviceList"]
