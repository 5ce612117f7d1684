"""The programs that jaxlib's runtime takes."""

from canter_pjrt.jaxlib_door import ifrt_programs as ifrt_programs
