"""Engine: alone starts git and terraform. Argument vectors only; the child's environment is built from nothing."""
