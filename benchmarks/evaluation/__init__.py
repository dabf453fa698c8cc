"""Models to compare weight formats on, and how sets of their samples are made and compared.

subjects        what a model to be measured offers
emoji           the bundled text-to-image model
mnist           a small published model of handwritten digits
noising         fixed inputs, to see what a change of weights does to a model's output
weight_formats  every format by name, NVFP4 in all the ways the library offers
swapping        putting a format's weights into a model for a while
samples         sampled sets with their features, kept on disk
schedule        which sets, of how many samples, in which order
comparison      numbers from two sets
results         all numbers of one model, and the claims that follow
sensitivity     what each layer's quantisation does to the output
plots           of results and of sensitivity
"""
