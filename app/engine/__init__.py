"""Engine: alone starts git and terraform. Argument vectors only, no shell; the child's environment is built from nothing."""
