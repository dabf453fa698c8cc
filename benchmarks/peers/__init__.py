"""Other ways to run the same UNet, each behind one interface, for `benchmarks.speed`.

`registry` names them, `contract` is what each implements, `worker` runs one in a process of its
own, and `client` is the driver's end of that process. One file a peer does the rest.
"""
