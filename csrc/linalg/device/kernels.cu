#include "linalg/device/launch.cuh"
// after the definitions that it instantiates
#include "linalg/device/instances.hpp"
