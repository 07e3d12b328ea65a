"""What all tests start from."""

import signal

# What a shell starts in the background ignores interrupts, and so does all that it starts; tests send some.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
