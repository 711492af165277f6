"""SQL over tables of a workspace: in this process, or isolated in another one for who may only read over HTTP."""
