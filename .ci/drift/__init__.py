"""Holds what is shipped to run the programs (manifests, compose file, balancers) to the programs and to itself.

kubernetes.py   reads rendered manifests and looks whether their parts fit each other
reach.py        who may talk to whom, by NetworkPolicies and Services
compose.py      reads docker-compose.yml and what is mounted from deploy/
image.py        reads the Dockerfile
container.py    one container of ours, wherever it was described; all of the above make these
programs.py     a container's command, variables, values and ports, against the program itself
tools.py        kubectl and Python packages, got if need be
selftest.py     breaks each thing once, and sees that it is found
"""
